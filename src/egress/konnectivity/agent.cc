#include "egress/konnectivity/agent.h"

#include <map>

#include "base/deadline.h"
#include "base/log.h"
#include "base/random.h"
#include "egress/konnectivity/agent_tunnel.h"
#include "egress/konnectivity/metrics.h"

namespace redoubt::konnectivity {

namespace asio = boost::asio;

namespace {

// Upstream's backoff: half as much again after each failure, up to a tenth more by chance.
constexpr double kBackoffFactor = 1.5;
constexpr double kJitter = 0.1;

class AgentImpl : public Agent, public std::enable_shared_from_this<AgentImpl> {
 public:
  AgentImpl(Executor executor, Options options)
      : executor_(executor), options_(std::make_shared<const Options>(std::move(options))) {}

  Task<void> run() override {
    auto self = shared_from_this();
    Scope scope(executor_, "konnectivity agent");
    std::exception_ptr cancelled;
    try {
      co_await sync(scope);
    } catch (...) {
      cancelled = std::current_exception();
    }
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await scope.join();
    if (cancelled) std::rethrow_exception(cancelled);
  }

  Task<void> drain(std::chrono::milliseconds limit) override {
    auto self = shared_from_this();
    draining_ = true;
    for (auto& [id, tunnel] : tunnels_) tunnel->drain();
    auto end = std::chrono::steady_clock::now() + limit;
    while (std::chrono::steady_clock::now() < end) {
      size_t left = 0;
      for (auto& [id, tunnel] : tunnels_) left += tunnel->link().connections();
      if (left == 0) break;
      co_await sleep_for(std::chrono::milliseconds(20));
    }
  }

  bool ready() const override { return !tunnels_.empty(); }

  std::vector<TunnelReport> tunnels() const override {
    std::vector<TunnelReport> out;
    for (const auto& [id, tunnel] : tunnels_) {
      out.push_back({id, tunnel->link().connections(), tunnel->link().bytes_sent(), tunnel->link().bytes_received()});
    }
    return out;
  }

 private:
  // Until cancelled.
  Task<void> sync(Scope& scope) {
    auto interval = options_->sync_interval;
    while (true) {
      bool failed = false;
      if (!draining_ && wants_more()) failed = !co_await connect_once(scope);
      auto pause = interval;
      if (failed) {
        auto next = std::chrono::duration_cast<std::chrono::milliseconds>(interval * kBackoffFactor);
        interval = std::min(next, options_->sync_interval_cap);
      } else {
        interval = pause = options_->sync_interval;
      }
      auto jitter = static_cast<uint64_t>(static_cast<double>(pause.count()) * kJitter) + 1;
      co_await sleep_for(pause + std::chrono::milliseconds(random_below(jitter)));
    }
  }

  bool wants_more() {
    int servers = std::max(1, last_count_);
    if (options_->lease_count) {
      if (auto leases = options_->lease_count())
        servers = std::max(1, options_->count_max ? std::max(*leases, last_count_) : *leases);
    }
    metrics_.server_count.set(servers);
    return options_->sync_forever || static_cast<int>(tunnels_.size()) < servers;
  }

  // False when no server could be called. Another call to one that we have is no failure.
  Task<bool> connect_once(Scope& scope) {
    auto tunnel = std::make_shared<AgentTunnel>(executor_, options_);
    Result<void> connected = timeout(fmt::format("no connection within {} s", kConnectTimeout.count()));
    co_await finish_within(kConnectTimeout, connect(tunnel, connected));
    if (!connected) {
      log_warning("konnectivity: can't connect to a proxy server",
                  {{"server", options_->server.to_string()}, {"error", connected.error().message()}});
      co_return false;
    }
    if (tunnels_.contains(tunnel->server_id())) {
      log_debug("konnectivity: reached a server that is connected already", {{"serverID", tunnel->server_id()}});
      co_return true;
    }
    last_count_ = tunnel->server_count();
    tunnels_[tunnel->server_id()] = tunnel;
    metrics_.server_connections.set(static_cast<int64_t>(tunnels_.size()));
    log_info(
        "konnectivity: connected to proxy server",
        {{"serverID", tunnel->server_id()}, {"serverCount", last_count_}, {"flowControl", tunnel->link().extended()}});
    scope.spawn(serve(tunnel));
    co_return true;
  }

  static Task<void> connect(std::shared_ptr<AgentTunnel> tunnel, Result<void>& outcome) {
    outcome = co_await tunnel->connect();
  }

  Task<void> serve(std::shared_ptr<AgentTunnel> tunnel) {
    auto self = shared_from_this();
    struct Connected {
      AgentImpl& agent;
      std::string id;
      ~Connected() {
        agent.tunnels_.erase(id);
        agent.metrics_.server_connections.set(static_cast<int64_t>(agent.tunnels_.size()));
      }
    } connected{*this, tunnel->server_id()};
    auto outcome = co_await tunnel->serve();
    if (!outcome) metrics_.failed_from_server.add();
    log_info("konnectivity: tunnel ended",
             {{"serverID", tunnel->server_id()}, {"reason", outcome ? "ended" : outcome.error().message()}});
  }

  Executor executor_;
  std::shared_ptr<const Options> options_;
  std::map<std::string, std::shared_ptr<AgentTunnel>> tunnels_;  // by server id
  int last_count_ = 0;
  bool draining_ = false;
  AgentMetrics& metrics_ = AgentMetrics::get();
};

}  // namespace

std::shared_ptr<Agent> Agent::make(Executor executor, Options options) {
  return std::make_shared<AgentImpl>(executor, std::move(options));
}

}  // namespace redoubt::konnectivity
