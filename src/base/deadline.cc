#include "base/deadline.h"

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>

namespace redoubt {

namespace asio = boost::asio;

Task<bool> finish_within(std::chrono::nanoseconds limit, Task<void> work) {
  struct Race {
    explicit Race(Executor executor) : work(executor, "work"), timer(executor, "deadline") {}
    Scope work, timer;
    bool late = false;
  };
  auto race = std::make_shared<Race>(co_await asio::this_coro::executor);
  race->work.spawn(std::move(work));
  race->timer.spawn([](std::chrono::nanoseconds l, std::shared_ptr<Race> r) -> Task<void> {
    co_await sleep_for(l);
    r->late = r->work.running() > 0;
    r->work.cancel();
  }(limit, race));
  std::exception_ptr cancelled;
  try {
    co_await race->work.wait_idle();
    co_await race->timer.join();
  } catch (...) {
    cancelled = std::current_exception();
  }
  // Deaf to cancellation only once it has come: one that came while nobody listened would be lost.
  if (cancelled) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await race->work.join();
    co_await race->timer.join();
    std::rethrow_exception(cancelled);
  }
  co_return !race->late;
}

}  // namespace redoubt
