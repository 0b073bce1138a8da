#include "base/task.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <list>

#include "base/event.h"
#include "base/log.h"

namespace redoubt {

namespace asio = boost::asio;

namespace {

// Around a task that runs, Asio has steps of its own which throw, out of any task and into the loop, when they find the
// task cancelled: before its first step, and after the last of one that never waited. So a cancellation is kept from
// Asio until the task runs, and forgotten once it has ended.
struct Child {
  asio::cancellation_signal signal;
  bool started = false;
  bool cancelled = false;
};

Task<void> start(Task<void> task, Child& child) {
  child.started = true;
  if (child.cancelled) co_return;
  std::exception_ptr failure;
  try {
    co_await std::move(task);
  } catch (...) {
    failure = std::current_exception();
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  if (failure) std::rethrow_exception(failure);
}

void cancel_child(Child& child) {
  child.cancelled = true;
  if (child.started) child.signal.emit(asio::cancellation_type::terminal);
}

}  // namespace

struct Scope::State {
  State(Executor e, const char* n) : executor(e), name(n), idle(e) {}
  Executor executor;
  const char* name;
  bool cancelled = false;
  std::list<Child> children;  // one a running task; a list keeps their addresses
  Event idle;
};

Scope::Scope(Executor executor, const char* name) : state_(std::make_shared<State>(executor, name)) {}
Scope::~Scope() = default;

void Scope::spawn(Task<void> task) {
  auto child = state_->children.emplace(state_->children.end());
  child->cancelled = state_->cancelled;
  asio::co_spawn(
      state_->executor, start(std::move(task), *child),
      asio::bind_cancellation_slot(child->signal.slot(), [state = state_, child](std::exception_ptr failure) {
        if (failure) {
          try {
            std::rethrow_exception(failure);
          } catch (const boost::system::system_error& error) {
            if (error.code() != asio::error::operation_aborted) {
              log_error("task failed", {{"scope", state->name}, {"error", error.what()}});
            }
          } catch (const std::exception& error) {
            log_error("task failed", {{"scope", state->name}, {"error", error.what()}});
          }
        }
        state->children.erase(child);
        if (state->children.empty()) state->idle.notify();
      }));
}

void Scope::cancel() {
  auto state = state_;
  state->cancelled = true;
  // A task may end, and so leave the list, while its signal is being emitted.
  for (auto it = state->children.begin(); it != state->children.end();) cancel_child(*it++);
}

Task<void> Scope::join() {
  auto state = state_;
  cancel();
  while (!state->children.empty()) co_await state->idle.wait();
}

Task<void> Scope::wait_idle() {
  auto state = state_;
  while (!state->children.empty()) co_await state->idle.wait();
}

size_t Scope::running() const {
  return state_->children.size();
}
Executor Scope::executor() const {
  return state_->executor;
}

Task<void> sleep_for(std::chrono::nanoseconds duration) {
  asio::steady_timer timer(co_await asio::this_coro::executor, duration);
  co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace redoubt
