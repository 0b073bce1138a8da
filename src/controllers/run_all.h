// Runs a controller's own informers and queues side by side until cancelled.
#pragma once
#include <exception>
#include <utility>

#include "base/task.h"

namespace redoubt::controllers {

// All of `tasks` on the loop of `executor`; cancelling the caller cancels and joins them.
template <class... Tasks>
Task<void> run_all(Executor executor, const char* name, Tasks... tasks) {
  Scope scope(executor, name);
  (scope.spawn(std::move(tasks)), ...);
  std::exception_ptr cancelled;
  try {
    co_await scope.wait_idle();
  } catch (...) {
    cancelled = std::current_exception();
  }
  co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
  co_await scope.join();
  if (cancelled) std::rethrow_exception(cancelled);
}

}  // namespace redoubt::controllers
