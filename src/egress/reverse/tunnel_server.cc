#include "egress/reverse/tunnel_server.h"

#include <nghttp2/nghttp2.h>

#include "base/event.h"
#include "base/log.h"
#include "base/metrics.h"
#include "egress/across.h"
#include "egress/limits.h"
#include "egress/reverse/protocol.h"
#include "net/http2.h"
#include "net/pieces.h"

namespace redoubt::egress::reverse {

namespace {

Gauge& open_tunnels() {
  static Gauge& g = gauge("redoubt_tunnel_connections", "Tunnels that are up.", {{"kind", "reverse"}});
  return g;
}

// One connection. `http2` and `scope` belong to the home loop, the rest to everybody.
struct Tunnel {
  Tunnel(Executor executor, std::string n, std::string p)
      : home(executor), scope(executor, "tunnel"), node(std::move(n)), peer(std::move(p)), since(now()) {}

  Executor home;
  std::shared_ptr<net::Http2Connection> http2;
  Scope scope;
  const std::string node, peer;
  const Timestamp since;
  std::atomic<bool> usable{true};
  std::atomic<size_t> streams{0};
  std::atomic<uint64_t> sent{0}, received{0};
  std::atomic<int64_t> round_trip_us{0};
  mutable std::mutex mutex;
  std::string last_error;

  void note(const std::string& error) {
    std::lock_guard lock(mutex);
    last_error = error;
  }
};
using TunnelPtr = std::shared_ptr<Tunnel>;

// A tunnel's stream, counted.
class TunnelStream : public net::PieceStream {
 public:
  TunnelStream(net::StreamPtr inner, TunnelPtr tunnel) : inner_(std::move(inner)), tunnel_(std::move(tunnel)) {
    ++tunnel_->streams;
  }
  ~TunnelStream() override { --tunnel_->streams; }
  Task<Result<size_t>> read_some(std::span<char> into) override {
    auto got = co_await inner_->read_some(into);
    if (got) tunnel_->received += *got;
    co_return got;
  }
  Task<Result<BytesList>> read_pieces(size_t max) override {
    auto got = co_await net::read_pieces(*inner_, max);
    if (got) tunnel_->received += total_size(*got);
    co_return got;
  }
  Task<Result<void>> write(BytesList pieces) override {
    tunnel_->sent += total_size(pieces);
    return inner_->write(std::move(pieces));
  }
  Task<Result<void>> shutdown_write() override { return inner_->shutdown_write(); }
  void abort() noexcept override { inner_->abort(); }

 private:
  net::StreamPtr inner_;
  TunnelPtr tunnel_;
};

// Resets a CONNECT that came to nothing.
struct Undecided {
  std::shared_ptr<net::Http2Stream> stream;
  bool decided = false;
  ~Undecided() {
    if (!decided) stream->reset(NGHTTP2_CANCEL);
  }
};

// On the home loop.
Task<Result<net::StreamPtr>> open_stream(TunnelPtr tunnel, std::string authority, std::string path,
                                         std::chrono::milliseconds timeout) {
  if (!tunnel->http2 || !tunnel->usable)
    co_return service_unavailable(fmt::format("the tunnel of node \"{}\" has just ended", tunnel->node));
  net::Headers headers{{":method", "CONNECT"}, {":authority", authority}, {std::string(kPathHeader), std::move(path)}};
  RD_CO_TRY(auto stream, tunnel->http2->request(headers, true));
  Undecided undecided{stream};
  auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!stream->headers_done) {
    if (stream->closed)
      co_return service_unavailable(
          fmt::format("dial {} by the tunnel of node \"{}\": {}", authority, tunnel->node, stream->broken().message()));
    auto left = deadline - std::chrono::steady_clock::now();
    if (left <= std::chrono::nanoseconds(0))
      co_return service_unavailable(
          fmt::format("dial tcp {} by the tunnel of node \"{}\": i/o timeout", authority, tunnel->node));
    co_await stream->changed.wait_for(left);
  }
  std::string_view status = stream->in_headers.get(":status").value_or("");
  if (status == "200") {
    undecided.decided = true;
    net::StreamPtr out = std::make_unique<TunnelStream>(net::make_http2_tunnel(stream), tunnel);
    co_return out;
  }
  std::string why = printable(stream->in_headers.get(kErrorHeader).value_or("no reason was given"));
  bool refused = status == "403";
  co_return Error(Status(refused ? 403 : 503, refused ? "Forbidden" : "ServiceUnavailable",
                         fmt::format("{} (by the tunnel of node \"{}\")", why, tunnel->node)));
}

class TunnelServerImpl : public TunnelServer {
 public:
  explicit TunnelServerImpl(TunnelServerOptions options) : options_(std::move(options)) {}

  Task<void> serve(std::string node, net::StreamPtr stream, std::string peer) override {
    Executor executor = co_await boost::asio::this_coro::executor;
    auto tunnel = std::make_shared<Tunnel>(executor, std::move(node), std::move(peer));
    net::Http2Connection::Options settings;
    settings.server = false;
    settings.ping_interval = options_.ping_interval;
    settings.silence_timeout = options_.silence_timeout;
    settings.tunnel = true;
    settings.on_change = [this, weak = std::weak_ptr(tunnel)] {
      if (auto alive = weak.lock()) changed(*alive);
    };
    tunnel->http2 = std::make_shared<net::Http2Connection>(std::move(stream), std::move(settings), executor);
    if (draining_) tunnel->http2->drain();
    add(tunnel);
    struct Removed {
      TunnelServerImpl& self;
      TunnelPtr tunnel;
      ~Removed() { self.remove(tunnel); }
    } removed{*this, tunnel};
    log_info("tunnel is up", {{"path", "tunnel-reverse"}, {"node", tunnel->node}, {"peer", tunnel->peer}});
    std::exception_ptr cancelled;
    try {
      co_await tunnel->http2->run();
    } catch (...) {
      cancelled = std::current_exception();
    }
    tunnel->usable = false;
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    co_await tunnel->scope.join();
    tunnel->http2.reset();
    log_info("tunnel is down", {{"path", "tunnel-reverse"}, {"node", tunnel->node}, {"peer", tunnel->peer}});
    if (cancelled) std::rethrow_exception(cancelled);
  }

  const std::string& server_id() const override { return options_.server_id; }

  Task<Result<net::StreamPtr>> dial(PathId path, Target target, DialOptions options) override {
    auto began = std::chrono::steady_clock::now();
    TunnelPtr tunnel = newest(target.node);
    // A node whose tunnel has just been lost is usually back at once.
    while (!tunnel && lost_lately(target.node) &&
           std::chrono::steady_clock::now() - began < std::min(options.timeout, kReturnWait)) {
      co_await sleep_for(kReturnPoll);
      tunnel = newest(target.node);
    }
    if (!tunnel) co_return service_unavailable(fmt::format("{}: {}", path_name(path), no_tunnel(target.node)));
    std::string authority;
    if (path == PathId::ApiserverKubelet) {
      // The agent knows where its kubelet listens; nobody else is meant.
      authority = net::Address{target.node, target.address.port}.to_string();
    } else {
      RD_CO_TRY(NodeAddresses allowed, options_.addresses(target.node));
      RD_CO_TRYV(allowed.check(target.address.host));
      authority = target.address.to_string();
    }
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(options.timeout -
                                                                      (std::chrono::steady_clock::now() - began));
    left = std::max(left, std::chrono::milliseconds(1));
    auto stream = co_await dial_across(std::shared_ptr<Scope>(tunnel, &tunnel->scope), [=] {
      return open_stream(tunnel, authority, std::string(path_name(path)), left);
    });
    if (!stream) tunnel->note(stream.error().message());
    co_return stream;
  }

  Way way(PathId, const Target& target) const override {
    Way out;
    out.kind = "reverse";
    out.available = newest(target.node) != nullptr || lost_lately(target.node);
    out.confidential = out.available;
    if (!out.available) out.why_not = no_tunnel(target.node);
    return out;
  }

  std::vector<TunnelInfo> list() const override {
    std::vector<TunnelInfo> out;
    std::lock_guard lock(mutex_);
    for (const auto& [node, entry] : nodes_) {
      for (const TunnelPtr& t : entry.tunnels) {
        TunnelInfo info;
        info.kind = "reverse";
        info.node = node;
        info.peer = t->peer;
        info.since = t->since;
        info.streams = t->streams;
        info.bytes_to_node = t->sent;
        info.bytes_from_node = t->received;
        info.round_trip = std::chrono::microseconds(t->round_trip_us);
        info.identity = fmt::format("certificate system:node:{}", node);
        info.up = t->usable;
        std::lock_guard tunnel_lock(t->mutex);
        info.last_error = t->last_error;
        out.push_back(std::move(info));
      }
    }
    return out;
  }

  void drain() override {
    draining_ = true;
    std::lock_guard lock(mutex_);
    for (const auto& [node, entry] : nodes_) {
      for (const TunnelPtr& t : entry.tunnels) {
        boost::asio::post(t->home, [t] {
          if (t->http2) t->http2->drain();
        });
      }
    }
  }

 private:
  struct Entry {
    std::vector<TunnelPtr> tunnels;  // oldest first
    std::chrono::steady_clock::time_point lost{};
  };

  static std::string no_tunnel(const std::string& node) {
    return fmt::format(
        "node \"{}\" has no tunnel to this server; see whether `redoubt agent` runs there and reaches "
        "the API server's port",
        node);
  }

  void add(const TunnelPtr& tunnel) {
    std::lock_guard lock(mutex_);
    nodes_[tunnel->node].tunnels.push_back(tunnel);
    open_tunnels().add(1);
  }

  void remove(const TunnelPtr& tunnel) {
    tunnel->usable = false;
    std::lock_guard lock(mutex_);
    open_tunnels().add(-1);
    auto it = nodes_.find(tunnel->node);
    if (it == nodes_.end()) return;
    std::erase(it->second.tunnels, tunnel);
    it->second.lost = std::chrono::steady_clock::now();
    // Nodes that are gone for good are forgotten.
    std::erase_if(nodes_, [](const auto& item) {
      return item.second.tunnels.empty() && std::chrono::steady_clock::now() - item.second.lost > kLostLately;
    });
  }

  // The connection's state changed: a GOAWAY came, a ping came back. On the home loop.
  void changed(Tunnel& tunnel) {
    if (!tunnel.http2) return;
    if (!tunnel.http2->usable() && tunnel.usable.exchange(false)) {
      std::lock_guard lock(mutex_);
      if (auto it = nodes_.find(tunnel.node); it != nodes_.end()) it->second.lost = std::chrono::steady_clock::now();
    }
    tunnel.round_trip_us = tunnel.http2->round_trip().count();
  }

  TunnelPtr newest(const std::string& node) const {
    std::lock_guard lock(mutex_);
    auto it = nodes_.find(node);
    if (it == nodes_.end()) return nullptr;
    for (auto t = it->second.tunnels.rbegin(); t != it->second.tunnels.rend(); ++t) {
      if ((*t)->usable) return *t;
    }
    return nullptr;
  }

  bool lost_lately(const std::string& node) const {
    std::lock_guard lock(mutex_);
    auto it = nodes_.find(node);
    return it != nodes_.end() && std::chrono::steady_clock::now() - it->second.lost < kLostLately;
  }

  TunnelServerOptions options_;
  std::atomic<bool> draining_{false};
  mutable std::mutex mutex_;
  std::map<std::string, Entry> nodes_;
};

}  // namespace

std::unique_ptr<TunnelServer> TunnelServer::make(TunnelServerOptions options) {
  return std::make_unique<TunnelServerImpl>(std::move(options));
}

}  // namespace redoubt::egress::reverse
