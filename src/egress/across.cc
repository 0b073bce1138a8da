#include "egress/across.h"

#include <boost/asio/post.hpp>

#include "base/event.h"
#include "net/cross_loop.h"

namespace redoubt::egress {

namespace {

// A dial that another loop waits for.
struct Pending {
  explicit Pending(Executor user) : done(user) {}
  std::mutex mutex;
  std::optional<Result<net::StreamPtr>> outcome;
  bool abandoned = false;
  Event done;  // the user's
};

// On the home loop.
Task<void> dial_for(std::shared_ptr<Scope> scope, std::shared_ptr<Pending> pending, Executor user,
                    std::function<Task<Result<net::StreamPtr>>()> dial) {
  struct Answer {
    std::shared_ptr<Pending> pending;
    Executor user;
    Result<net::StreamPtr> outcome = service_unavailable("the tunnel ended");
    ~Answer() {
      std::lock_guard lock(pending->mutex);
      if (pending->abandoned) return;
      pending->outcome = std::move(outcome);
      boost::asio::post(user, [p = pending] { p->done.notify(); });
    }
  } answer{pending, user};
  auto stream = co_await dial();
  if (stream) {
    answer.outcome = net::make_cross_loop_stream(std::move(*stream), *scope, user);
  } else {
    answer.outcome = Error(std::move(stream).error());
  }
}

}  // namespace

Task<Result<net::StreamPtr>> dial_across(std::shared_ptr<Scope> scope,
                                         std::function<Task<Result<net::StreamPtr>>()> dial) {
  Executor user = co_await boost::asio::this_coro::executor;
  if (user == scope->executor()) co_return co_await dial();
  auto pending = std::make_shared<Pending>(user);
  boost::asio::post(scope->executor(), [=] { scope->spawn(dial_for(scope, pending, user, dial)); });
  struct Leaving {
    std::shared_ptr<Pending> pending;
    ~Leaving() {
      std::optional<Result<net::StreamPtr>> unclaimed;
      std::lock_guard lock(pending->mutex);
      pending->abandoned = true;
      unclaimed = std::move(pending->outcome);
    }
  } leaving{pending};
  while (true) {
    {
      std::lock_guard lock(pending->mutex);
      if (pending->outcome) {
        auto out = std::move(*pending->outcome);
        pending->outcome.reset();
        co_return out;
      }
    }
    co_await pending->done.wait();
  }
}

}  // namespace redoubt::egress
