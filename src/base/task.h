// One way to be asynchronous: Task<T> is a coroutine on an event loop; a Scope owns child tasks.
//
// Rules that hold in the whole program:
//  - A task runs on the loop it was started on; everything it touches belongs to that loop or is immutable or locked.
//  - A task takes by value whatever it may need after its first suspension; a reference parameter must outlive the
//  awaitable.
//  - Child tasks belong to a Scope, which cancels and joins them. Nothing else calls co_spawn.
//  - Cancelling makes the pending wait throw boost::system::system_error(operation_aborted), which unwinds the task;
//    the Scope swallows exactly that one.
//  - No blocking call on a loop. Disk, DNS and the like go through base/blocking.h.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>

namespace redoubt {

template <class T = void>
using Task = boost::asio::awaitable<T>;

using Executor = boost::asio::any_io_executor;

// Owns child tasks of one loop. Use from that loop's thread only.
//
//   Scope scope(executor);
//   scope.spawn(serve(std::move(connection)));   // runs until done, or until cancelled
//   ...
//   co_await scope.join();                       // cancels what still runs and waits for it
//
// Destroying a Scope with running tasks is a bug unless the loop has stopped: call join() first. An exception that
// leaves a child task (other than the cancellation) is logged with the scope's name and otherwise ignored.
class Scope {
 public:
  explicit Scope(Executor executor, const char* name = "scope");
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  void spawn(Task<void> task);
  // Asks every running task to stop; returns at once. Later spawns are cancelled at their first wait.
  void cancel();
  // cancel(), then waits until the last task is gone.
  Task<void> join();
  // Waits until no task runs, without cancelling.
  Task<void> wait_idle();
  size_t running() const;
  Executor executor() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Suspends for `duration`; throws operation_aborted when the task is cancelled.
Task<void> sleep_for(std::chrono::nanoseconds duration);

}  // namespace redoubt
