#include "base/event.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace redoubt {

namespace asio = boost::asio;

namespace {

// A sleeping coroutine: it waits on a timer of its own, which notify() ends early. Lives in the coroutine's frame and
// takes itself off the list there.
struct Waiter {
  explicit Waiter(Executor executor) : timer(executor) {}
  asio::steady_timer timer;
  bool notified = false;
  Waiter** previous_link = nullptr;
  Waiter* next = nullptr;
};

}  // namespace

struct Event::State {
  Waiter* first = nullptr;

  void add(Waiter& waiter) {
    waiter.next = first;
    waiter.previous_link = &first;
    if (first != nullptr) first->previous_link = &waiter.next;
    first = &waiter;
  }
  static void remove(Waiter& waiter) {
    *waiter.previous_link = waiter.next;
    if (waiter.next != nullptr) waiter.next->previous_link = waiter.previous_link;
  }
};

// The state comes with the first wait: most events of a request are never waited for.
Event::Event(Executor) {}

Event::~Event() {
  if (!state_) return;
  for (Waiter* waiter = state_->first; waiter != nullptr; waiter = waiter->next) waiter->timer.cancel();
}

void Event::notify() {
  if (!state_) return;
  for (Waiter* waiter = state_->first; waiter != nullptr; waiter = waiter->next) {
    waiter->notified = true;
    waiter->timer.cancel();
  }
}

Task<void> Event::wait() {
  co_await wait_for(std::chrono::nanoseconds::max());
}

Task<bool> Event::wait_for(std::chrono::nanoseconds timeout) {
  struct Linked {
    Linked(std::shared_ptr<State> s, Executor executor) : state(std::move(s)), waiter(executor) { state->add(waiter); }
    ~Linked() { State::remove(waiter); }
    std::shared_ptr<State> state;
    Waiter waiter;
  };
  // The state is taken before the first suspension: the Event itself may go away while this sleeps.
  if (!state_) state_ = std::make_shared<State>();
  auto state = state_;
  Linked linked(std::move(state), co_await asio::this_coro::executor);
  if (timeout == std::chrono::nanoseconds::max()) {
    linked.waiter.timer.expires_at(asio::steady_timer::time_point::max());
  } else {
    linked.waiter.timer.expires_after(timeout);
  }
  boost::system::error_code error;
  co_await linked.waiter.timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
  if (linked.waiter.notified) co_return true;
  // Ended early by something else than notify(): the task is being cancelled, or the event is gone.
  if (error) throw boost::system::system_error(error);
  co_return false;
}

}  // namespace redoubt
