#include "egress/konnectivity/server.h"

#include <mutex>
#include <unordered_map>

#include "base/log.h"
#include "base/random.h"
#include "egress/konnectivity/carry.h"
#include "egress/konnectivity/frontend.h"
#include "egress/konnectivity/metrics.h"
#include "net/tcp.h"

namespace redoubt::konnectivity {

namespace asio = boost::asio;

// Lives in the frame of the task that dials.
struct PendingDial {
  explicit PendingDial(Executor executor) : done(executor) {}
  Event done;
  bool answered = false;
  std::string error;
  std::unique_ptr<Connection> connection;
};

namespace {

class ServerImpl : public Server, public std::enable_shared_from_this<ServerImpl> {
 public:
  ServerImpl(Executor executor, Options options)
      : executor_(executor), options_(std::move(options)), backends_(options_.strategies) {}

  net::Handler agent_handler() override {
    net::GrpcServerOptions grpc;
    grpc.methods[kConnectMethod] = [self = shared_from_this()](net::GrpcCall& call) { return connect(self, call); };
    return net::make_grpc_handler(std::move(grpc));
  }
  net::Handler grpc_frontend() override {
    net::GrpcServerOptions grpc;
    grpc.methods[kProxyMethod] = [self = shared_from_this()](net::GrpcCall& call) {
      return serve_frontend(self, call);
    };
    return net::make_grpc_handler(std::move(grpc));
  }
  net::Handler http_connect_frontend() override {
    return [self = shared_from_this()](net::Request request, net::Responder& responder) {
      return serve_http_connect(self, std::move(request), responder);
    };
  }

  Task<Result<std::unique_ptr<Connection>>> dial(std::string address, std::string node, bool only_there) override {
    auto self = shared_from_this();
    BackendPtr backend = only_there ? backends_.of_node(node) : backends_.pick(host_of(address), node);
    if (!backend) {
      metrics_.dial_failed("no_agent");
      co_return service_unavailable("No agent available");
    }
    if (backend->pending.size() >= kMaxPendingDials || backend->link->connections() >= kMaxConnections) {
      metrics_.dial_failed("too_many_dials");
      log_warning("konnectivity dial refused", {{"agentID", backend->agent_id},
                                                {"pending", backend->pending.size()},
                                                {"connections", backend->link->connections()}});
      co_return too_many_requests(fmt::format("agent {} has {} dials under way and {} connections; no more are taken",
                                              backend->agent_id, backend->pending.size(), backend->link->connections()),
                                  1);
    }
    // The frontend's own number may be anybody's: ours can't be guessed, nor meant to hit another's dial.
    PendingDial pending(executor_);
    auto dial_id = static_cast<int64_t>(random_u64() >> 1 | 1);
    Registered registered(*this, backend, dial_id, pending);
    auto start = std::chrono::steady_clock::now();
    backend->link->send({.type = PacketType::DialReq, .random = dial_id, .protocol = "tcp", .address = address});
    while (!pending.answered) {
      auto left = options_.backend_dial_timeout - (std::chrono::steady_clock::now() - start);
      if (options_.backend_dial_timeout.count() > 0 && left.count() <= 0) {
        metrics_.dial_failed("backend_dial_timeout");
        co_return note(*backend, timeout(fmt::format(
                                     "timed out waiting for backend dial: agent {} did not connect to {} within {} ms",
                                     backend->agent_id, address, options_.backend_dial_timeout.count())));
      }
      if (options_.backend_dial_timeout.count() > 0) {
        co_await pending.done.wait_for(left);
      } else {
        co_await pending.done.wait();
      }
    }
    if (!pending.connection) co_return note(*backend, service_unavailable(pending.error));
    metrics_.dial_duration.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    co_return std::move(pending.connection);
  }

  bool has_agent() const override {
    std::lock_guard lock(mutex_);
    return !reached_.empty();
  }
  bool has_agent_on(const std::string& node) const override {
    std::lock_guard lock(mutex_);
    return reached_.contains(node);
  }

  bool ready() const override { return backends_.ready(); }
  Executor executor() const override { return executor_; }
  Scope& scope() override { return scope_; }

  std::vector<AgentReport> agents() const override {
    std::vector<AgentReport> out;
    std::lock_guard lock(mutex_);
    for (const Backend* backend : connected_) {
      AgentReport report;
      report.kind = "konnectivity";
      report.node = backend->node.empty() ? backend->agent_id : backend->node;
      report.peer = net::Address{backend->remote_address, backend->remote_port}.to_string();
      report.identity = backend->identity;
      report.up = !backend->draining;
      report.since = backend->since;
      report.streams = backend->link->open_connections();
      report.bytes_to_node = backend->link->bytes_sent();
      report.bytes_from_node = backend->link->bytes_received();
      if (backend->round_trip_us) report.round_trip = std::chrono::microseconds(*backend->round_trip_us);
      report.last_error = backend->last_error;
      report.agent_id = backend->agent_id;
      report.flow_control = backend->link->extended();
      out.push_back(std::move(report));
    }
    return out;
  }

 private:
  // A dial that ends without an answer is called off.
  struct Registered {
    Registered(ServerImpl& s, BackendPtr b, int64_t i, PendingDial& pending) : self(s), backend(std::move(b)), id(i) {
      backend->pending[id] = &pending;
      self.metrics_.pending_dials.add(1);
    }
    ~Registered() {
      self.metrics_.pending_dials.add(-1);
      if (backend->pending.erase(id) > 0) backend->link->send({.type = PacketType::DialCls, .random = id});
    }
    Registered(const Registered&) = delete;
    Registered& operator=(const Registered&) = delete;
    ServerImpl& self;
    BackendPtr backend;
    int64_t id;
  };

  // In the set for as long as its call lasts.
  struct Connected {
    Connected(std::shared_ptr<ServerImpl> s, BackendPtr b) : self(std::move(s)), backend(std::move(b)) {
      self->backends_.add(backend);
      self->publish(backend.get(), 1);
      self->open_tunnels_.add(1);
      self->metrics_.connect_calls.add(1);
    }
    ~Connected() {
      self->backends_.remove(backend);
      self->publish(backend.get(), -1);
      self->open_tunnels_.add(-1);
      self->metrics_.connect_calls.add(-1);
      for (auto& [id, pending] : backend->pending) {
        self->metrics_.dial_failed("backend_close");
        pending->answered = true;
        pending->error = fmt::format("the tunnel to agent {} was lost before it answered", backend->agent_id);
        pending->done.notify();
      }
      backend->pending.clear();
    }
    Connected(const Connected&) = delete;
    Connected& operator=(const Connected&) = delete;
    std::shared_ptr<ServerImpl> self;
    BackendPtr backend;
  };

  static Task<Result<void>> connect(std::shared_ptr<ServerImpl> self, net::GrpcCall& call) {
    auto ids = call.metadata().get_all(kAgentId);
    if (ids.size() != 1 || ids[0].empty() || ids[0].size() > kMaxAddressBytes)
      co_return bad_request(fmt::format("expected one agent ID in the context, got {}", ids.size()));
    auto texts = call.metadata().get_all(kAgentIdentifiers);
    if (texts.size() > 1) co_return bad_request("expected at most one set of agent identifiers in the context");
    auto backend = std::make_shared<Backend>();
    backend->agent_id = std::string(ids[0]);
    backend->since = now();
    backend->remote_address = call.connection().remote_address;
    backend->remote_port = call.connection().remote_port;
    backend->round_trip_us = call.round_trip_us();
    if (!texts.empty()) {
      RD_CO_TRY(backend->identifiers, parse_identifiers(texts[0]));
    }
    if (self->options_.authorize_agent) {
      auto who = co_await self->options_.authorize_agent(call.metadata(), call.connection(), backend->identifiers);
      if (!who) {
        log_warning(
            "konnectivity agent refused",
            {{"agentID", backend->agent_id}, {"from", backend->remote_address}, {"error", who.error().message()}});
        co_return Error(who.error());
      }
      backend->identity = std::move(who->name);
      backend->node = who->node;
      // The node that it proved to be on is one that it serves, whether it says so or not.
      auto& hosts = backend->identifiers.host;
      if (!who->node.empty() && std::find(hosts.begin(), hosts.end(), who->node) == hosts.end())
        hosts.push_back(who->node);
    }
    if (self->backends_.all().size() >= kMaxAgents)
      co_return too_many_requests(fmt::format("{} agents are connected; no more are taken", kMaxAgents), 10);

    Link::Options options;
    options.side = Link::Side::Server;
    options.peer_window = number_header(call.metadata(), kWindow);
    options.receive_budget = self->options_.receive_budget;
    options.on_packet = [raw = self.get(), weak = std::weak_ptr(backend)](Packet packet) {
      if (auto from = weak.lock()) raw->on_packet(*from, std::move(packet));
    };
    options.count = [&metrics = self->metrics_](PacketType type, bool sent) {
      (sent ? metrics.to_agent : metrics.from_agent).add(type);
    };
    options.on_close = [&metrics = self->metrics_](std::chrono::steady_clock::duration lived) {
      metrics.established.add(-1);
      metrics.connection_duration.observe(std::chrono::duration<double>(lived).count());
    };
    backend->link = std::make_shared<Link>(std::move(options), self->executor_);
    net::Headers headers{{kServerId, self->options_.server_id},
                         {kServerCount, std::to_string(self->options_.server_count)}};
    if (backend->link->extended()) headers.add(kWindow, std::to_string(kReceiveWindowBytes));
    RD_CO_TRYV(co_await call.send_headers(std::move(headers)));
    if (backend->link->extended()) call.widen_window(kTunnelWindowBytes);
    log_info("konnectivity agent connected", {{"agentID", backend->agent_id},
                                              {"from", backend->remote_address},
                                              {"identity", backend->identity},
                                              {"flowControl", backend->link->extended()}});
    Connected connected(self, backend);
    auto outcome = co_await backend->link->run(call);
    if (!outcome) self->metrics_.from_agent.failed(outcome.error());
    log_info("konnectivity agent gone",
             {{"agentID", backend->agent_id}, {"reason", outcome ? "ended" : outcome.error().message()}});
    co_return outcome;
  }

  // What other threads may know of the agents.
  void publish(const Backend* backend, int change) {
    std::lock_guard lock(mutex_);
    if (change > 0) {
      connected_.push_back(backend);
    } else {
      std::erase(connected_, backend);
    }
    auto count = [&](const std::string& name) {
      if ((reached_[name] += change) == 0) reached_.erase(name);
    };
    count(backend->agent_id);
    for (const std::string& host : backend->identifiers.host) count(host);
  }
  // The error of a dial, which reports show.
  Error note(Backend& backend, Error error) {
    std::lock_guard lock(mutex_);
    backend.last_error = error.error().message();
    return error;
  }

  void on_packet(Backend& backend, Packet packet) {
    if (packet.type == PacketType::Drain) {
      log_info("konnectivity agent drains", {{"agentID", backend.agent_id}});
      backend.draining = true;
      return;
    }
    if (packet.type != PacketType::DialRsp && packet.type != PacketType::DialCls) return;
    auto found = backend.pending.find(packet.random);
    if (found == backend.pending.end()) {
      if (packet.type == PacketType::DialCls) return;
      metrics_.dial_failed("unrecognized_response");
      if (packet.connect_id != 0) backend.link->send({.type = PacketType::CloseReq, .connect_id = packet.connect_id});
      return;
    }
    PendingDial& pending = *found->second;
    backend.pending.erase(found);
    pending.answered = true;
    if (packet.type == PacketType::DialCls) {
      metrics_.dial_failed("backend_close");
      pending.error = fmt::format("agent {} gave up the dial", backend.agent_id);
    } else if (!packet.error.empty()) {
      metrics_.dial_failed("error_response");
      pending.error = std::move(packet.error);
    } else if (auto connection = backend.link->add(packet.connect_id)) {
      // Registered before the next packet is read, which may already be its data.
      metrics_.established.add(1);
      pending.connection = std::move(connection);
    } else {
      metrics_.dial_failed("error_response");
      pending.error = fmt::format("agent {} answered with a connection that it may not use", backend.agent_id);
    }
    pending.done.notify();
  }

  Executor executor_;
  Options options_;
  BackendSet backends_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, int> reached_;  // agents' ids and host names, and how many have them
  std::vector<const Backend*> connected_;         // backends_'s, in order of arrival
  Scope scope_{executor_, "konnectivity in-process"};
  ServerMetrics& metrics_ = ServerMetrics::get();
  Gauge& open_tunnels_ = gauge("redoubt_tunnel_connections", "Tunnels that are up.", {{"kind", "konnectivity"}});
};

}  // namespace

std::shared_ptr<Server> Server::make(Executor executor, Options options) {
  return std::make_shared<ServerImpl>(executor, std::move(options));
}

}  // namespace redoubt::konnectivity
