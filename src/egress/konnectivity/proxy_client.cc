#include "egress/konnectivity/proxy_client.h"

#include "base/deadline.h"
#include "base/random.h"
#include "egress/konnectivity/header.h"
#include "egress/konnectivity/limits.h"
#include "egress/konnectivity/metrics.h"
#include "egress/konnectivity/packet.h"

namespace redoubt::konnectivity {

namespace asio = boost::asio;

namespace {

// Upstream's frontend drops clients that ping more often than every five minutes.
constexpr std::chrono::minutes kPingInterval{6};

struct ClientMetrics {
  PacketCounts from_client{"client", "from_client"}, to_client{"client", "to_client"};
  Gauge& connections = gauge("konnectivity_network_proxy_client_client_connections",
                             "Number of open client connections, by status (Example: dialing)", {{"status", "ok"}});

  static ClientMetrics& get() {
    static ClientMetrics metrics;
    return metrics;
  }
  void dial_failed(std::string_view reason) {
    counter("konnectivity_network_proxy_client_dial_failure_total",
            "Number of dial failures observed, by reason (example: remote endpoint error)",
            {{"reason", std::string(reason)}})
        .add();
  }
};

class ProxyStream : public net::Stream {
 public:
  explicit ProxyStream(std::unique_ptr<net::GrpcClientStream> call) : call_(std::move(call)) {
    metrics_.connections.add(1);
  }
  ~ProxyStream() override { metrics_.connections.add(-1); }

  // Until the server answered the dial.
  Task<Result<void>> dial(std::string address) {
    Packet request{.type = PacketType::DialReq, .random = static_cast<int64_t>(random_u64() >> 1 | 1)};
    request.protocol = "tcp";
    request.address = std::move(address);
    int64_t random = request.random;
    RD_CO_TRYV(co_await send(std::move(request)));
    while (true) {
      RD_CO_TRY(Packet packet, co_await next());
      if (packet.type == PacketType::DialCls && packet.random == random) {
        metrics_.dial_failed("dialclosed");
        co_return service_unavailable("the agent gave up the dial");
      }
      if (packet.type != PacketType::DialRsp || packet.random != random) continue;
      if (!packet.error.empty()) {
        metrics_.dial_failed("endpoint");
        co_return service_unavailable(packet.error);
      }
      id_ = packet.connect_id;
      RD_CO_TRY(net::Headers headers, co_await call_->headers(std::chrono::milliseconds(0)));
      half_close_ = number_header(headers, kWindow) > 0;
      co_return Result<void>{};
    }
  }

  Task<Result<size_t>> read_some(std::span<char> into) override {
    while (left_.empty()) {
      if (ended_) co_return size_t{0};
      RD_CO_TRY(Packet packet, co_await next());
      if (packet.connect_id != id_) continue;
      if (packet.type == PacketType::Data) {
        left_ = std::move(packet.data);
      } else if (packet.type == PacketType::CloseRsp) {
        closed_ = ended_ = true;
        if (!packet.error.empty()) co_return service_unavailable(packet.error);
      } else if (packet.type == PacketType::End) {
        ended_ = true;
      }
    }
    size_t n = std::min(into.size(), left_.size());
    std::memcpy(into.data(), left_.data(), n);
    left_ = left_.slice(n);
    co_return n;
  }

  Task<Result<void>> write(BytesList pieces) override {
    for (Bytes& piece : pieces) {
      piece = piece.kept();
      for (size_t at = 0; at < piece.size(); at += kPacketDataBytes) {
        if (closed_) co_return service_unavailable("the connection was closed");
        Packet packet{.type = PacketType::Data, .connect_id = id_};
        packet.data = piece.slice(at, kPacketDataBytes);
        RD_CO_TRYV(co_await send(std::move(packet)));
      }
    }
    co_return Result<void>{};
  }

  Task<Result<void>> shutdown_write() override {
    if (!half_close_ || closed_) co_return Result<void>{};
    Packet packet{.type = PacketType::End, .connect_id = id_};
    co_return co_await send(std::move(packet));
  }

  // The server closes the connection when the stream is gone.
  void abort() noexcept override { call_->cancel(); }

 private:
  Task<Result<void>> send(Packet packet) {
    metrics_.from_client.add(packet.type);
    return call_->write(encode_packet(packet));
  }
  Task<Result<Packet>> next() {
    auto message = co_await call_->next();
    if (!message) {
      metrics_.to_client.failed(message.error());
      co_return Error(message.error());
    }
    if (!*message) co_return service_unavailable("the proxy server ended the tunnel");
    RD_CO_TRY(Packet packet, decode_packet(**message));
    metrics_.to_client.add(packet.type);
    co_return packet;
  }

  std::unique_ptr<net::GrpcClientStream> call_;
  ClientMetrics& metrics_ = ClientMetrics::get();
  int64_t id_ = 0;
  bool half_close_ = false;
  bool ended_ = false;
  bool closed_ = false;
  Bytes left_;
};

Task<void> dial_on(std::shared_ptr<net::GrpcClient> client, net::Headers metadata, std::string address,
                   Result<net::StreamPtr>& outcome) {
  auto call = co_await client->open(kProxyMethod, std::move(metadata));
  if (!call) {
    ClientMetrics::get().dial_failed("streamsetup");
    outcome = Error(call.error());
    co_return;
  }
  auto stream = std::make_unique<ProxyStream>(std::move(*call));
  auto dialled = co_await stream->dial(std::move(address));
  if (dialled) {
    outcome = std::move(stream);
  } else {
    outcome = Error(dialled.error());
  }
}

}  // namespace

ProxyClient::ProxyClient(Options options) : options_(std::move(options)) {}
ProxyClient::~ProxyClient() = default;

std::shared_ptr<net::GrpcClient> ProxyClient::client_of(Executor executor) {
  const void* loop = &executor.query(asio::execution::context);
  std::lock_guard lock(mutex_);
  auto& client = clients_[loop];
  if (!client) {
    net::HttpClient::Options http;
    if (!options_.uds_name.empty()) {
      http.dial = [path = options_.uds_name] { return net::unix_connect(path, kConnectTimeout); };
      http.host = "localhost";
      http.ping_interval = std::chrono::milliseconds(0);
    } else {
      http.dial = [server = options_.server] { return net::tcp_connect(server, kConnectTimeout); };
      http.host = options_.server.to_string();
      http.ping_interval = kPingInterval;
    }
    http.tls = options_.tls;
    http.http2_prior_knowledge = !options_.tls;
    client = std::make_shared<net::GrpcClient>(net::HttpClient::make(executor, std::move(http)));
  }
  return client;
}

Task<Result<net::StreamPtr>> ProxyClient::dial(std::string address, std::chrono::milliseconds limit) {
  auto client = client_of(co_await asio::this_coro::executor);
  net::Headers metadata{{"user-agent", options_.user_agent}, {kWindow, "1"}};
  Result<net::StreamPtr> outcome =
      timeout(fmt::format("dial tcp {}: the proxy server did not connect within {} ms", address, limit.count()));
  bool done = co_await finish_within(limit, dial_on(client, std::move(metadata), address, outcome));
  if (!done && !outcome) ClientMetrics::get().dial_failed("timeout");
  co_return outcome;
}

}  // namespace redoubt::konnectivity
