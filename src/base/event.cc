#include "base/event.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace redoubt {

namespace asio = boost::asio;

// A timer that never fires by itself: cancelling it wakes its waiters. `generation` tells a wake-up from a cancellation.
struct Event::State {
  explicit State(Executor executor) : timer(executor, asio::steady_timer::time_point::max()) {}
  asio::steady_timer timer;
  uint64_t generation = 0;
};

Event::Event(Executor executor) : state_(std::make_shared<State>(executor)) {}
Event::~Event() { state_->timer.cancel(); }

void Event::notify() {
  ++state_->generation;
  state_->timer.cancel();
}

Task<void> Event::wait() {
  auto state = state_;
  uint64_t seen = state->generation;
  boost::system::error_code error;
  co_await state->timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
  if (state->generation == seen) {
    // Woken by something else than notify(): this task is being cancelled, or the event is going away.
    throw boost::system::system_error(asio::error::operation_aborted);
  }
}

Task<bool> Event::wait_for(std::chrono::nanoseconds timeout) {
  auto state = state_;
  uint64_t seen = state->generation;
  auto executor = co_await asio::this_coro::executor;
  // The deadline wakes this waiter alone: it has a timer of its own, which notify() of the shared one ends by polling the
  // generation at the deadline or at the wake-up, whichever comes first.
  struct Waiter {
    asio::steady_timer deadline;
    explicit Waiter(Executor e) : deadline(e) {}
  };
  auto waiter = std::make_shared<Waiter>(executor);
  waiter->deadline.expires_after(timeout);
  state->timer.async_wait([waiter](boost::system::error_code) { waiter->deadline.cancel(); });
  boost::system::error_code error;
  co_await waiter->deadline.async_wait(asio::redirect_error(asio::use_awaitable, error));
  if (state->generation != seen) co_return true;
  if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
  co_return false;
}

}  // namespace redoubt
