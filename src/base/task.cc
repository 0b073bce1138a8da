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

struct Scope::State {
  State(Executor e, const char* n) : executor(e), name(n), idle(e) {}
  Executor executor;
  const char* name;
  bool cancelled = false;
  std::list<asio::cancellation_signal> signals;  // one a running task; a list keeps their addresses
  Event idle;
};

Scope::Scope(Executor executor, const char* name) : state_(std::make_shared<State>(executor, name)) {}
Scope::~Scope() = default;

void Scope::spawn(Task<void> task) {
  auto signal = state_->signals.emplace(state_->signals.end());
  asio::co_spawn(state_->executor, std::move(task),
                 asio::bind_cancellation_slot(signal->slot(), [state = state_, signal](std::exception_ptr failure) {
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
                   state->signals.erase(signal);
                   if (state->signals.empty()) state->idle.notify();
                 }));
  if (state_->cancelled) {
    // The task has not run yet: posting lets it reach its first wait before the signal arrives.
    asio::post(state_->executor, [state = state_] {
      for (auto it = state->signals.begin(); it != state->signals.end();)
        (it++)->emit(asio::cancellation_type::terminal);
    });
  }
}

void Scope::cancel() {
  state_->cancelled = true;
  // A task may end, and so leave the list, while its signal is being emitted.
  for (auto it = state_->signals.begin(); it != state_->signals.end();) {
    auto current = it++;
    current->emit(asio::cancellation_type::terminal);
  }
}

Task<void> Scope::join() {
  auto state = state_;
  cancel();
  while (!state->signals.empty()) co_await state->idle.wait();
}

Task<void> Scope::wait_idle() {
  auto state = state_;
  while (!state->signals.empty()) co_await state->idle.wait();
}

size_t Scope::running() const {
  return state_->signals.size();
}
Executor Scope::executor() const {
  return state_->executor;
}

Task<void> sleep_for(std::chrono::nanoseconds duration) {
  asio::steady_timer timer(co_await asio::this_coro::executor, duration);
  co_await timer.async_wait(asio::use_awaitable);
}

Task<bool> cancelled() {
  auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() != asio::cancellation_type::none;
}

}  // namespace redoubt
