#include "kubelet/server/exec_session.h"

#include <boost/asio/this_coro.hpp>

#include "net/pieces.h"

namespace redoubt::kubelet {

namespace {

struct Exec {
  explicit Exec(Executor executor) : pumps(executor, "exec"), deadline(executor, "exec's end") {}
  net::StreamPtr client, runtime;
  std::chrono::milliseconds abandoned{0};
  bool client_gone = false;
  bool over = false;
  Scope pumps, deadline;

  void end() {
    over = true;
    client->abort();
    runtime->abort();
  }
};

Task<void> end_in_time(Exec& exec) {
  co_await sleep_for(exec.abandoned);
  exec.end();
}

void begin_to_end(Exec& exec) {
  if (exec.deadline.running() == 0) exec.deadline.spawn(end_in_time(exec));
}

// What the client has to say; its end is the end of the command's input.
Task<void> pump_in(Exec& exec) {
  while (!exec.over) {
    auto got = co_await net::read_pieces(*exec.client, net::kSpliceBufferBytes);
    if (!got) exec.client_gone = true;
    if (!got || got->empty()) break;
    if (!co_await exec.runtime->write(std::move(*got))) co_return exec.end();
  }
  if (exec.over) co_return;
  begin_to_end(exec);
  if (!co_await exec.runtime->shutdown_write()) exec.end();
}

// What the command has to say, as long as there is somebody to hear it, and then all the rest.
Task<void> pump_out(Exec& exec) {
  while (!exec.over) {
    auto got = co_await net::read_pieces(*exec.runtime, net::kSpliceBufferBytes);
    if (!got) co_return exec.end();
    if (got->empty()) break;
    if (exec.client_gone) continue;
    if (!co_await exec.client->write(std::move(*got))) {
      exec.client_gone = true;
      exec.client->abort();  // wakes the other pump
      begin_to_end(exec);
    }
  }
  if (exec.over) co_return;
  if (exec.client_gone) co_return exec.end();
  begin_to_end(exec);
  if (!co_await exec.client->shutdown_write()) exec.end();
}

}  // namespace

Task<void> carry_exec(net::StreamPtr client, net::StreamPtr runtime, std::chrono::milliseconds abandoned) {
  auto exec = std::make_unique<Exec>(co_await boost::asio::this_coro::executor);
  exec->client = std::move(client);
  exec->runtime = std::move(runtime);
  exec->abandoned = abandoned;
  exec->pumps.spawn(pump_in(*exec));
  exec->pumps.spawn(pump_out(*exec));
  std::exception_ptr cancelled;
  try {
    co_await exec->pumps.wait_idle();
  } catch (...) {
    cancelled = std::current_exception();
  }
  co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
  if (cancelled) exec->end();
  co_await exec->pumps.join();
  co_await exec->deadline.join();
  if (cancelled) std::rethrow_exception(cancelled);
}

}  // namespace redoubt::kubelet
