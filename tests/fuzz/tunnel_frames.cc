// Bytes as the far end of a reverse tunnel, hostile: what an agent gets from a server that it has connected to, and
// what a server gets from a node. Whatever comes, nothing crashes, nothing is dialled beyond the node, and each side
// ends.
#include <cstdlib>

#include "egress/reverse/agent.h"
#include "egress/reverse/tunnel_server.h"
#include "net/loop.h"
#include "net/pieces.h"

using namespace redoubt;
using namespace redoubt::egress;
using namespace std::chrono_literals;

namespace {

Task<void> write_all(net::Stream& stream, std::string bytes) {
  BytesList pieces;
  pieces.push_back(Bytes::take(std::move(bytes)));
  (void)co_await stream.write(std::move(pieces));
  (void)co_await stream.shutdown_write();
}

// Takes what is sent, so that nothing waits for room.
Task<void> drain(std::shared_ptr<net::Stream> stream, std::shared_ptr<bool> ended) {
  while (true) {
    auto got = co_await net::read_pieces(*stream, 64 * 1024);
    if (!got || got->empty()) break;
  }
  *ended = true;
}

Task<void> against_agent(std::string bytes) {
  Executor executor = co_await boost::asio::this_coro::executor;
  Scope scope(executor);
  auto ended = std::make_shared<bool>(false);
  auto connected = std::make_shared<bool>(false);
  reverse::AgentOptions options;
  options.node = "a";
  options.kubelet = {"127.0.0.1", 10250};
  options.last_retry = options.first_retry = 1h;
  options.dial_server = [&](net::Address) -> Task<Result<net::StreamPtr>> {
    return [](Executor e, Scope& s, std::string b, std::shared_ptr<bool> done,
              std::shared_ptr<bool> up) -> Task<Result<net::StreamPtr>> {
      auto [peer, ours] = net::make_pipe(e, 1 << 20);
      std::shared_ptr<net::Stream> far = std::move(peer);
      s.spawn([](std::shared_ptr<net::Stream> f, std::string text) -> Task<void> {
        co_await write_all(*f, "HTTP/1.1 101 Switching Protocols\r\nupgrade: redoubt-tunnel\r\n\r\n" + text);
      }(far, std::move(b)));
      s.spawn(drain(far, done));
      *up = true;
      co_return std::move(ours);
    }(executor, scope, bytes, ended, connected);
  };
  options.dial_target = [](net::Address to) -> Task<Result<net::StreamPtr>> {
    bool ours =
        to.host == "10.0.0.1" || to.host.starts_with("10.244.1.") || (to.host == "127.0.0.1" && to.port == 10250);
    if (!ours) std::abort();
    return []() -> Task<Result<net::StreamPtr>> {
      auto [here, there] = net::make_pipe(co_await boost::asio::this_coro::executor);
      co_return std::move(here);
    }();
  };
  reverse::Agent agent(executor, std::move(options));
  agent.set_addresses(reverse::NodeAddresses("a", {"10.0.0.1"}, {"10.244.1.0/24"}));
  agent.set_servers({{"server", 6443}});
  scope.spawn(agent.run());
  for (int i = 0; i < 2000 && !*ended; ++i) co_await sleep_for(i < 50 ? 0ms : 1ms);
  if (*connected && !*ended) std::abort();
  co_await scope.join();
}

Task<void> against_server(std::string bytes) {
  Executor executor = co_await boost::asio::this_coro::executor;
  reverse::TunnelServerOptions options;
  options.addresses = [](const std::string& node) -> Result<reverse::NodeAddresses> {
    return reverse::NodeAddresses(node, {"10.0.0.1"}, {"10.244.1.0/24"});
  };
  auto server = reverse::TunnelServer::make(std::move(options));
  auto [peer, ours] = net::make_pipe(executor, 1 << 20);
  std::shared_ptr<net::Stream> far = std::move(peer);
  Scope scope(executor);
  auto ended = std::make_shared<bool>(false);
  scope.spawn(drain(far, ended));
  scope.spawn([](reverse::TunnelServer& s, net::StreamPtr o) -> Task<void> {
    co_await s.serve("a", std::move(o), "fuzz");
  }(*server, std::move(ours)));
  scope.spawn([](reverse::TunnelServer& s) -> Task<void> {
    auto stream = co_await s.dial(PathId::ApiserverPod, {"a", {"10.244.1.7", 80}}, {.timeout = 50ms});
    if (stream) (void)co_await net::read_to_end(**stream, 1 << 20);
  }(*server));
  co_await sleep_for(0ms);
  co_await write_all(*far, std::move(bytes));
  for (int i = 0; i < 2000 && !*ended; ++i) co_await sleep_for(i < 50 ? 0ms : 1ms);
  if (!*ended) std::abort();
  co_await scope.join();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  net::run_until_done([&] { return (data[0] & 1) != 0 ? against_agent(bytes) : against_server(bytes); });
  return 0;
}
