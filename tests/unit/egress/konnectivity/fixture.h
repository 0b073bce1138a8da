// A proxy server, agents and targets on one loop, over plain HTTP/2 on loopback.
#pragma once
#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>

#include "egress/konnectivity/agent.h"
#include "egress/konnectivity/header.h"
#include "egress/konnectivity/server.h"
#include "net/grpc_client.h"
#include "net/http_server.h"
#include "net/socket_stream.h"

namespace redoubt::konnectivity::test {

using namespace std::chrono_literals;
namespace asio = boost::asio;

inline BytesList one(std::string text) {
  BytesList out;
  out.push_back(Bytes::take(std::move(text)));
  return out;
}

// What a target does with a connection.
using Behaviour = std::function<Task<void>(net::StreamPtr)>;

inline Task<void> echo(net::StreamPtr stream) {
  std::string buffer(32 * 1024, '\0');
  while (true) {
    auto got = co_await stream->read_some(buffer);
    if (!got || *got == 0) break;
    if (!co_await stream->write(one(buffer.substr(0, *got)))) co_return;
  }
  co_await stream->shutdown_write();
}

// Loops, a proxy server and its ports; everything is used from the one loop, by way of run().
class Fixture {
 public:
  explicit Fixture(Server::Options options = {}) {
    if (options.server_id.empty()) options.server_id = "server-1";
    server = Server::make(loop(), std::move(options));
    agent_port = listen(server->agent_handler());
  }
  ~Fixture() {
    run([](Fixture& f) -> Task<void> {
      co_await f.agents_scope.join();
      co_await f.targets_scope.join();
      co_await server_scope_join(f);
    });
    run([](Fixture& f) -> Task<void> {
      for (auto& http : f.listeners) co_await http->drain(0ms);
    });
    loops.stop();
  }
  static Task<void> server_scope_join(Fixture& f) { co_await f.server->scope().join(); }

  Executor loop() { return loops.executor(0); }

  uint16_t listen(net::Handler handler) {
    net::HttpServerOptions http;
    http.address = "127.0.0.1";
    http.handler = std::move(handler);
    http.max_streams_per_connection = 10'000;
    listeners.push_back(std::move(*net::HttpServer::start(loops, std::move(http))));
    return listeners.back()->port();
  }

  // Runs a coroutine of this fixture on the loop until it is done; fails the test after a minute.
  void run(std::function<Task<void>(Fixture&)> body) {
    run_on_loop([this, body]() { return body(*this); });
  }
  void run_on_loop(std::function<Task<void>()> body) {
    std::promise<void> done;
    auto future = done.get_future();
    std::unique_ptr<Scope> scope;
    asio::post(loop(), [&] {
      scope = std::make_unique<Scope>(loop(), "test");
      scope->spawn(finish(body, done));
    });
    if (future.wait_for(60s) != std::future_status::ready) {
      std::fprintf(stderr, "the test hangs\n");
      std::abort();
    }
    std::promise<void> gone;
    asio::post(loop(), [&] {
      scope.reset();
      gone.set_value();
    });
    gone.get_future().wait();
  }

  Agent::Options agent_options() {
    Agent::Options options;
    options.server = {"127.0.0.1", agent_port};
    options.agent_id = "agent-1";
    options.sync_interval = 50ms;
    options.destinations = *Destinations::parse({"any"});
    return options;
  }
  // On the loop: an agent that is connected.
  Task<std::shared_ptr<Agent>> start_agent(Agent::Options options) {
    auto agent = Agent::make(loop(), std::move(options));
    agents_scope.spawn(run_agent(agent));
    for (int i = 0; i < 200 && !agent->ready(); ++i) co_await sleep_for(10ms);
    EXPECT_TRUE(agent->ready());
    co_await sleep_for(10ms);  // the server learns of it with the call's first step
    co_return agent;
  }

  // On the loop: a listening target; "127.0.0.1:PORT".
  std::string start_target(Behaviour behaviour) {
    auto acceptor = std::make_shared<asio::ip::tcp::acceptor>(
        loop(), asio::ip::tcp::endpoint(asio::ip::make_address("127.0.0.1"), 0));
    targets_scope.spawn(accept(this, acceptor, std::move(behaviour)));
    return fmt::format("127.0.0.1:{}", acceptor->local_endpoint().port());
  }

  std::unique_ptr<net::HttpClient> http_client(uint16_t port, bool http2 = true) {
    net::HttpClient::Options options;
    options.dial = [port] { return net::tcp_connect({"127.0.0.1", port}, 5s); };
    options.host = fmt::format("127.0.0.1:{}", port);
    options.http2_prior_knowledge = http2;
    options.stream_window = options.connection_window = kTunnelWindowBytes;
    return net::HttpClient::make(loop(), std::move(options));
  }

  net::LoopPool loops{1};
  Scope agents_scope{loops.executor(0), "agents"};
  Scope targets_scope{loops.executor(0), "targets"};
  std::shared_ptr<Server> server;
  std::vector<std::unique_ptr<net::HttpServer>> listeners;
  uint16_t agent_port = 0;

 private:
  static Task<void> finish(std::function<Task<void>()> body, std::promise<void>& done) {
    co_await body();
    done.set_value();
  }
  static Task<void> run_agent(std::shared_ptr<Agent> agent) { co_await agent->run(); }
  static Task<void> accept(Fixture* self, std::shared_ptr<asio::ip::tcp::acceptor> acceptor, Behaviour behaviour) {
    while (true) {
      asio::ip::tcp::socket socket(self->loop());
      boost::system::error_code error;
      co_await acceptor->async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return;
      self->targets_scope.spawn(behaviour(net::make_socket_stream(net::Socket(std::move(socket)))));
    }
  }
};

// A hand-driven agent: says what the test wants, and shows what the server says.
struct FakeAgent {
  std::unique_ptr<net::GrpcClient> client;
  std::unique_ptr<net::GrpcClientStream> call;

  static Task<FakeAgent> connect(Fixture& fixture, net::Headers metadata) {
    FakeAgent out;
    out.client = std::make_unique<net::GrpcClient>(fixture.http_client(fixture.agent_port));
    auto call = co_await out.client->open(kConnectMethod, std::move(metadata));
    EXPECT_TRUE(call.has_value());
    if (call) out.call = std::move(*call);
    auto headers = co_await out.call->headers(5s);
    EXPECT_TRUE(headers.has_value());
    co_await sleep_for(10ms);
    co_return out;
  }
  Task<void> send(Packet packet) { (void)co_await call->write(encode_packet(packet)); }
  // The next packet; type Drain and an error text when there is none.
  Task<Packet> next() {
    auto message = co_await call->next();
    Packet none{.type = PacketType::Drain};
    none.error = message ? "ended" : message.error().message();
    if (!message || !*message) co_return none;
    auto packet = decode_packet(**message);
    EXPECT_TRUE(packet.has_value());
    co_return packet ? *packet : none;
  }
};

}  // namespace redoubt::konnectivity::test
