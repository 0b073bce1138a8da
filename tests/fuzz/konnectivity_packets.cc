// Bytes as packets of a hostile Konnectivity peer, at both ends of a tunnel and at the frontend: whatever comes, each
// ends without a crash, and without keeping anything.
#include "base/deadline.h"
#include "egress/konnectivity/header.h"
#include "egress/konnectivity/server.h"
#include "net/grpc_client.h"
#include "net/http_server.h"
#include "net/loop.h"

using namespace redoubt;
using namespace redoubt::konnectivity;
using namespace std::chrono_literals;

namespace {

// The input as messages, each with a length byte before it.
class Messages : public net::GrpcStream {
 public:
  explicit Messages(std::string_view bytes) : rest_(bytes) {}
  Task<Result<std::optional<Bytes>>> next() override {
    co_await sleep_for(0ns);  // others get their turn
    if (rest_.empty()) co_return std::optional<Bytes>();
    size_t size = static_cast<unsigned char>(rest_[0]);
    Bytes message = Bytes::copy(rest_.substr(1, size));
    rest_.remove_prefix(std::min(rest_.size(), size + 1));
    co_return std::optional<Bytes>(std::move(message));
  }
  Task<Result<void>> write(BytesList message) override {
    std::string whole;
    for (const Bytes& piece : message) whole += piece.view();
    auto packet = decode_packet(Bytes::take(std::move(whole)));
    if (!packet) __builtin_trap();  // what we write can be read
    co_return Result<void>{};
  }

 private:
  std::string_view rest_;
};

Task<void> use(std::unique_ptr<Connection> connection) {
  BytesList pieces;
  pieces.push_back(Bytes::of_static("hello"));
  (void)co_await connection->write(std::move(pieces));
  (void)co_await connection->shutdown_write();
  while (true) {
    auto piece = co_await connection->read_piece();
    if (!piece || piece->empty()) co_return;
  }
}

// One end of a tunnel, whose other end is the input.
Task<void> tunnel(std::string bytes, Link::Side side, bool extended) {
  auto executor = co_await boost::asio::this_coro::executor;
  Scope connections(executor);
  Messages messages(bytes);
  Link::Options options;
  options.side = side;
  options.peer_window = extended ? 3 : 0;
  options.receive_budget = 1000;
  Link* raw = nullptr;
  options.on_packet = [&](Packet packet) {
    if (connections.running() > 100) return;
    if (auto connection = raw->add(packet.type == PacketType::DialReq ? packet.random : packet.connect_id))
      connections.spawn(use(std::move(connection)));
  };
  auto link = std::make_shared<Link>(std::move(options), executor);
  raw = link.get();
  (void)co_await link->run(messages);
  co_await connections.join();
  if (link->connections() != 0) __builtin_trap();
}

Task<void> dial(std::shared_ptr<Server> server) {
  auto connection = co_await server->dial("10.0.0.1:80");
  if (connection) co_await use(std::move(*connection));
}

Task<void> serve(net::StreamPtr stream, net::Handler handler) {
  net::HttpServerOptions options;
  options.handler = std::move(handler);
  net::ConnectionInfo info;
  info.alpn = "h2";
  co_await net::serve_connection(std::move(stream), std::move(info), options);
}

std::unique_ptr<net::GrpcClient> client_of(Executor executor, Scope& scope, net::Handler handler) {
  auto [ours, theirs] = net::make_pipe(executor, 1 << 20);
  scope.spawn(serve(std::move(theirs), std::move(handler)));
  auto held = std::make_shared<net::StreamPtr>(std::move(ours));
  net::HttpClient::Options http;
  http.dial = [held]() -> Task<Result<net::StreamPtr>> { co_return std::move(*held); };
  http.host = "pipe";
  http.http2_prior_knowledge = true;
  return std::make_unique<net::GrpcClient>(net::HttpClient::make(executor, std::move(http)));
}

// The input as an agent (dials are waiting for it), or as an API server (an agent answers it).
Task<void> peer(std::string bytes, bool as_agent) {
  auto executor = co_await boost::asio::this_coro::executor;
  Scope scope(executor);
  Server::Options options;
  options.server_id = "s";
  options.backend_dial_timeout = 20ms;
  auto server = Server::make(executor, options);
  net::Headers metadata{{kAgentId, "a"}, {kWindow, "100"}};
  auto agent = client_of(executor, scope, server->agent_handler());
  auto call = co_await agent->open(kConnectMethod, metadata);
  if (!call || !co_await (*call)->headers(1s)) __builtin_trap();
  for (int i = 0; i < 20 && !server->ready(); ++i) co_await sleep_for(0ns);
  auto frontend = client_of(executor, scope, server->grpc_frontend());
  auto other = co_await frontend->open(kProxyMethod, metadata);
  if (!other) __builtin_trap();
  if (as_agent) {
    for (int i = 0; i < 3; ++i) scope.spawn(dial(server));
  }
  Messages messages(bytes);
  net::GrpcClientStream& hostile = as_agent ? **call : **other;
  while (true) {
    auto message = co_await messages.next();
    if (!message || !*message) break;
    BytesList pieces;
    pieces.push_back(std::move(**message));
    if (!co_await hostile.write(std::move(pieces))) break;
  }
  co_await sleep_for(1ms);
  call->reset();
  other->reset();
  agent.reset();
  frontend.reset();
  co_await scope.join();
}

void parse(std::string_view text) {
  (void)parse_identifiers(text);
  (void)Network::parse(text);
  (void)host_of(text);
  if (auto packet = decode_packet(Bytes::copy(text))) {
    std::string again;
    for (const Bytes& piece : encode_packet(*packet)) again += piece.view();
    auto back = decode_packet(Bytes::copy(again));
    if (!back || back->connect_id != packet->connect_id || back->error != packet->error ||
        back->data.view() != packet->data.view()) {
      __builtin_trap();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 7) {
    case 0:
      parse(bytes);
      break;
    case 1:
    case 2:
    case 3:
    case 4:
      net::run_until_done(
          [&] { return tunnel(bytes, data[0] & 1 ? Link::Side::Agent : Link::Side::Server, data[0] & 2); });
      break;
    default:
      net::run_until_done([&] { return peer(bytes, data[0] & 1); });
  }
  return 0;
}
