#include "egress/konnectivity/in_process.h"

#include <boost/asio/post.hpp>

#include "egress/konnectivity/carry.h"
#include "net/loop_pipe.h"

namespace redoubt::konnectivity {

namespace asio = boost::asio;

namespace {

struct Call {
  explicit Call(Executor executor) : loop(executor), done(executor) {}
  Executor loop;
  Event done;
  std::optional<Result<void>> outcome;  // of the calling loop
};

void answer(std::shared_ptr<Call> call, Result<void> outcome) {
  Executor loop = call->loop;
  asio::post(loop, [call = std::move(call), outcome = std::move(outcome)]() mutable {
    call->outcome = std::move(outcome);
    call->done.notify();
  });
}

Task<void> serve(std::shared_ptr<Server> server, std::string address, std::string node, bool only_there,
                 net::StreamPtr pipe, std::shared_ptr<Call> call) {
  auto connection = co_await server->dial(std::move(address), std::move(node), only_there);
  if (!connection) {
    answer(std::move(call), Error(connection.error()));
    co_return;
  }
  answer(std::move(call), {});
  co_await carry(std::move(pipe), std::move(*connection));
}

}  // namespace

Task<Result<net::StreamPtr>> dial_in_process(std::shared_ptr<Server> server, std::string address, std::string node,
                                             bool only_there) {
  auto here = co_await asio::this_coro::executor;
  auto call = std::make_shared<Call>(here);
  auto [mine, theirs] = net::make_loop_pipe(here, server->executor());
  asio::post(server->executor(), [server, address = std::move(address), node = std::move(node), only_there,
                                  pipe = std::move(theirs), call]() mutable {
    Scope& scope = server->scope();
    scope.spawn(
        serve(std::move(server), std::move(address), std::move(node), only_there, std::move(pipe), std::move(call)));
  });
  while (!call->outcome) co_await call->done.wait();
  if (!*call->outcome) co_return Error(call->outcome->error());
  co_return std::move(mine);
}

}  // namespace redoubt::konnectivity
