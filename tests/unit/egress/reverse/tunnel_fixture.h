// A tunnel server and an agent joined by a socket pair, each on a loop of its own; no TLS (the secure port's part of
// it).
#pragma once
#include <gtest/gtest.h>

#include <future>

#include "base/event.h"
#include "egress/reverse/agent.h"
#include "egress/reverse/protocol.h"
#include "egress/reverse/tunnel_server.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "net/socket_stream.h"

namespace redoubt::egress::reverse {

using namespace std::chrono_literals;

// What the agent dials inside its node: each target address is a handler that gets the stream.
using Service = std::function<Task<void>(net::StreamPtr)>;

// The agent's side of the way to the server, with what can happen to it.
struct Faults {
  std::vector<net::Stream*> links;
};
class FaultyStream : public net::Stream {
 public:
  FaultyStream(net::StreamPtr inner, std::shared_ptr<Faults> faults)
      : inner_(std::move(inner)), faults_(std::move(faults)) {
    faults_->links.push_back(this);
  }
  ~FaultyStream() override { std::erase(faults_->links, this); }
  Task<Result<size_t>> read_some(std::span<char> into) override {
    auto got = co_await inner_->read_some(into);
    while (swallowed_) co_await sleep_for(std::chrono::milliseconds(5));
    co_return got;
  }
  Task<Result<void>> write(BytesList pieces) override {
    if (!swallowed_) co_return co_await inner_->write(std::move(pieces));
    co_return Result<void>{};
  }
  Task<Result<void>> shutdown_write() override { return inner_->shutdown_write(); }
  void abort() noexcept override {
    // What is swallowed reaches nobody, not even the end.
    if (!swallowed_) inner_->abort();
    swallowed_ = false;
  }
  void swallow() { swallowed_ = true; }

 private:
  net::StreamPtr inner_;
  std::shared_ptr<Faults> faults_;
  bool swallowed_ = false;
};

class Tunnels {
 public:
  explicit Tunnels(size_t loops = 2) : loops_(loops, "test") {
    TunnelServerOptions options;
    options.addresses = [](const std::string& node) -> Result<NodeAddresses> {
      if (node == "a") return NodeAddresses("a", {"10.0.0.1"}, {"10.244.1.0/24"});
      if (node == "b") return NodeAddresses("b", {"10.0.0.2"}, {"10.244.2.0/24"});
      return not_found({"", "nodes"}, node);
    };
    options.server_id = "server-1";
    options.ping_interval = 2s;
    options.silence_timeout = 6s;  // sanitizers on a busy machine are slow
    server = TunnelServer::make(std::move(options));
    run([this]() -> Task<void> { return start(); });
  }
  ~Tunnels() {
    run([this]() -> Task<void> { return stop(); });
    loops_.stop();
  }

  // Runs a task on loop `i` and waits for it.
  void run(std::function<Task<void>()> task, size_t i = 0) {
    std::promise<void> done;
    auto scope = std::make_shared<Scope>(loops_.executor(i), "test");
    boost::asio::post(loops_.executor(i), [&] {
      scope->spawn([](std::function<Task<void>()> t, std::promise<void>& d) -> Task<void> {
        co_await t();
        d.set_value();
      }(std::move(task), done));
    });
    done.get_future().get();
    // The task's own end is still to be noted in its scope, on its loop.
    std::promise<void> gone;
    boost::asio::post(loops_.executor(i), [&] {
      scope.reset();
      gone.set_value();
    });
    gone.get_future().get();
  }

  // An agent of node `a` whose server is `name`; belongs to the last loop.
  std::unique_ptr<Agent> make_agent(const std::string& node, NodeAddresses addresses) {
    AgentOptions options;
    options.node = node;
    options.kubelet = {"127.0.0.1", 10250};
    options.ping_interval = 2s;
    options.first_retry = 5ms;
    options.last_retry = 50ms;
    options.dial_server = [this](net::Address to) { return dial_server(to); };
    options.dial_target = [this](net::Address to) { return dial_target(to); };
    auto agent = std::make_unique<Agent>(agent_executor(), std::move(options));
    agent->set_servers({{"server-1", 6443}});
    agent->set_addresses(std::move(addresses));
    return agent;
  }
  Executor agent_executor() { return loops_.executor(loops_.size() - 1); }

  Task<void> wait_for_tunnel(std::string node, size_t count = 1) {
    for (int i = 0; i < 1000; ++i) {
      size_t found = 0;
      for (const auto& info : server->list()) found += info.node == node && info.up;
      if (found == count) co_return;
      co_await sleep_for(5ms);
    }
    ADD_FAILURE() << "no tunnel of " << node;
  }

  Task<Result<std::string>> ask(std::string host, uint16_t port, std::string text, PathId path = PathId::ApiserverPod,
                                std::string node = "a") {
    RD_CO_TRY(auto stream, co_await server->dial(path, {node, {host, port}}, {.timeout = 10s}));
    BytesList pieces;
    pieces.push_back(Bytes::copy(text));
    RD_CO_TRYV(co_await stream->write(std::move(pieces)));
    RD_CO_TRYV(co_await stream->shutdown_write());
    co_return co_await net::read_to_end(*stream, 64 << 20);
  }

  std::unique_ptr<TunnelServer> server;
  std::unique_ptr<Agent> agent;
  std::map<std::string, Service> services;
  std::vector<std::string> dialled;  // by the agent
  std::atomic<bool> server_reachable{true};

  // The link breaks: both sides are told.
  void cut() {
    boost::asio::post(agent_executor(), [faults = faults_] {
      auto links = faults->links;
      for (net::Stream* link : links) link->abort();
    });
  }
  // The link goes silent.
  void swallow() {
    boost::asio::post(agent_executor(), [faults = faults_] {
      for (net::Stream* link : faults->links) static_cast<FaultyStream*>(link)->swallow();
    });
  }

 private:
  Task<void> start() {
    server_scope_ = std::make_unique<Scope>(loops_.executor(0), "test server");
    std::promise<void> made;
    boost::asio::post(agent_executor(), [&] {
      agent_scope_ = std::make_unique<Scope>(agent_executor(), "test agent");
      agent = make_agent("a", NodeAddresses("a", {"10.0.0.1"}, {"10.244.1.0/24"}));
      agent_scope_->spawn(agent->run());
      made.set_value();
    });
    if (loops_.size() > 1) made.get_future().wait();
    co_await wait_for_tunnel("a");
  }

  Task<void> stop() {
    std::promise<void> done;
    auto future = done.get_future();
    boost::asio::post(agent_executor(), [&] {
      stopping_ = std::make_unique<Scope>(agent_executor(), "stopping");
      stopping_->spawn([](Tunnels& self, std::promise<void>& d) -> Task<void> {
        co_await self.agent_scope_->join();
        d.set_value();
      }(*this, done));
    });
    while (future.wait_for(0s) != std::future_status::ready) co_await sleep_for(2ms);
    co_await server_scope_->join();
  }

  // The agent's way to the server.
  Task<Result<net::StreamPtr>> dial_server(net::Address to) {
    if (!server_reachable) co_return service_unavailable("dial tcp: connect: connection refused");
    auto pair = std::make_shared<std::pair<net::StreamPtr, net::StreamPtr>>(socket_pair());
    boost::asio::post(loops_.executor(0),
                      [this, pair] { server_scope_->spawn(serve_one(*this, std::move(pair->first))); });
    net::StreamPtr mine = std::make_unique<FaultyStream>(std::move(pair->second), faults_);
    co_return mine;
  }

  // The secure port's part: HTTP/1.1, the upgrade, then the tunnel.
  static Task<void> serve_one(Tunnels& self, net::StreamPtr stream) {
    net::HttpServerOptions options;
    options.handler = [&self](net::Request request, net::Responder& responder) {
      return upgrade(self, std::move(request), responder);
    };
    co_await net::serve_connection(std::move(stream), {}, options);
  }
  static Task<void> upgrade(Tunnels& self, net::Request request, net::Responder& responder) {
    std::string node = request.path.substr(std::string_view("/api/v1/nodes/").size());
    node = node.substr(0, node.find('/'));
    net::Headers headers{{"connection", "Upgrade"},
                         {"upgrade", std::string(kUpgradeToken)},
                         {std::string(kServerHeader), self.server->server_id()}};
    auto stream = co_await responder.upgrade(std::move(headers));
    if (stream) co_await self.server->serve(node, std::move(*stream), "192.0.2.1:4711");
  }

  // A connected pair of unix sockets, the first for loop 0, the second for the agent's.
  std::pair<net::StreamPtr, net::StreamPtr> socket_pair() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    boost::asio::generic::stream_protocol protocol(AF_UNIX, 0);
    return {net::make_socket_stream(net::Socket(loops_.executor(0), protocol, fds[0])),
            net::make_socket_stream(net::Socket(agent_executor(), protocol, fds[1]))};
  }

  Task<Result<net::StreamPtr>> dial_target(net::Address to) {
    dialled.push_back(to.to_string());
    auto it = services.find(to.to_string());
    if (it == services.end())
      co_return service_unavailable("dial tcp " + to.to_string() + ": connect: connection refused");
    auto [here, there] = net::make_pipe(co_await boost::asio::this_coro::executor);
    if (!it->second) co_await sleep_for(std::chrono::hours(1));  // a black hole
    agent_scope_->spawn(it->second(std::move(there)));
    co_return std::move(here);
  }

  net::LoopPool loops_;
  std::shared_ptr<Faults> faults_ = std::make_shared<Faults>();
  std::unique_ptr<Scope> server_scope_, agent_scope_, stopping_;
};

}  // namespace redoubt::egress::reverse
