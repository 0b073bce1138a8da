#include "egress/konnectivity/agent_tunnel.h"

#include <boost/asio/ip/tcp.hpp>

#include "base/blocking.h"
#include "base/log.h"
#include "dial/proxy.h"
#include "egress/konnectivity/carry.h"
#include "egress/konnectivity/header.h"
#include "egress/konnectivity/metrics.h"
#include "pki/certificate.h"

namespace redoubt::konnectivity {

namespace asio = boost::asio;

namespace {

std::vector<std::string> resolve(const std::string& host) {
  boost::system::error_code error;
  if (asio::ip::make_address(host, error); !error) return {host};
  asio::io_context context;
  asio::ip::tcp::resolver resolver(context);
  std::vector<std::string> out;
  for (const auto& entry : resolver.resolve(host, "", error)) out.push_back(entry.endpoint().address().to_string());
  return out;
}

}  // namespace

AgentTunnel::AgentTunnel(Executor executor, std::shared_ptr<const Agent::Options> options)
    : executor_(executor), options_(std::move(options)) {}

Task<Result<void>> AgentTunnel::connect() {
  auto self = shared_from_this();
  // A connection of its own: behind a load balancer each call may reach another server.
  net::HttpClient::Options http;
  // By way of the HTTP proxy that HTTPS_PROXY names, as upstream's agent.
  http.dial = [server = options_->server] {
    return net::dial_out(server, net::ProxySettings::from_environment(), kConnectTimeout);
  };
  http.host = options_->server.to_string();
  if (options_->tls) {
    auto make = options_->tls;  // reads files
    RD_CO_TRY(http.tls, co_await run_blocking([make] { return make(); }));
  } else {
    http.http2_prior_knowledge = true;
  }
  http.ping_interval = options_->keepalive;
  http.stream_window = http.connection_window = kTunnelWindowBytes;
  client_ = std::make_unique<net::GrpcClient>(net::HttpClient::make(executor_, std::move(http)));
  net::Headers metadata{{kAgentId, options_->agent_id}, {kAgentIdentifiers, options_->identifiers}};
  if (options_->flow_control) metadata.add(kWindow, std::to_string(kReceiveWindowBytes));
  if (!options_->service_account_token_path.empty()) {
    // Read for each call: the kubelet renews it.
    std::string path = options_->service_account_token_path;
    auto token = co_await run_blocking([path] { return pki::read_file(path); });
    if (!token) co_return Error(token.error());
    while (token->ends_with('\n')) token->pop_back();
    metadata.add(kAuthorization, "Bearer " + *token);
  }
  RD_CO_TRY(call_, co_await client_->open(kConnectMethod, std::move(metadata)));
  RD_CO_TRY(net::Headers headers, co_await call_->headers(kConnectTimeout));
  auto id = headers.get_all(kServerId);
  if (id.size() != 1)
    co_return service_unavailable(fmt::format("expected one server ID in the context, got {}", id.size()));
  server_id_ = std::string(id[0]);
  if (headers.get_all(kServerCount).size() != 1) co_return service_unavailable("expected one server count");
  server_count_ = static_cast<int>(std::min<uint64_t>(number_header(headers, kServerCount), 1000));

  Link::Options link;
  link.side = Link::Side::Agent;
  link.peer_window = options_->flow_control ? number_header(headers, kWindow) : 0;
  if (link.peer_window > 0)
    call_->ping_every(std::min<std::chrono::milliseconds>(kTunnelPingInterval, options_->keepalive));
  link.receive_budget = options_->receive_budget;
  link.on_packet = [weak = weak_from_this()](Packet packet) {
    if (auto tunnel = weak.lock()) tunnel->on_packet(std::move(packet));
  };
  AgentMetrics& metrics = AgentMetrics::get();
  link.count = [&metrics](PacketType type, bool sent) { (sent ? metrics.from_agent : metrics.to_agent).add(type); };
  link.on_close = [&metrics](std::chrono::steady_clock::duration) { metrics.endpoint_connections.add(-1); };
  link_ = std::make_shared<Link>(std::move(link), executor_);
  co_return Result<void>{};
}

Task<Result<void>> AgentTunnel::serve() {
  auto self = shared_from_this();
  scope_ = std::make_unique<Scope>(executor_, "konnectivity agent tunnel");
  Result<void> outcome;
  std::exception_ptr cancelled;
  try {
    outcome = co_await link_->run(*call_);
    if (!outcome) AgentMetrics::get().to_agent.failed(outcome.error());
    call_->cancel();
    co_await scope_->join();
  } catch (...) {
    cancelled = std::current_exception();
  }
  if (cancelled) {
    call_->cancel();
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await scope_->join();
    std::rethrow_exception(cancelled);
  }
  co_return outcome;
}

void AgentTunnel::drain() {
  link_->send({.type = PacketType::Drain});
}

void AgentTunnel::on_packet(Packet packet) {
  if (packet.type == PacketType::DialCls) {
    if (auto found = dialling_.find(packet.random); found != dialling_.end()) *found->second = true;
    return;
  }
  if (packet.type != PacketType::DialReq) return;
  if (dialling_.size() >= kMaxPendingDials || link_->connections() >= kMaxConnections ||
      dialling_.contains(packet.random)) {
    AgentMetrics::get().dial_failed("too_many_dials");
    Packet answer{.type = PacketType::DialRsp, .random = packet.random};
    answer.error = fmt::format("the agent has {} dials under way and {} connections; no more are taken",
                               dialling_.size(), link_->connections());
    link_->send(std::move(answer));
    return;
  }
  scope_->spawn(dial(std::move(packet)));
}

// Resolves, asks whether each address may be dialled, and dials what may.
Task<Result<net::StreamPtr>> AgentTunnel::open(std::string address) {
  RD_CO_TRY(net::Address target, net::parse_address(address));
  if (options_->destinations.any()) co_return co_await net::tcp_connect(target, kAgentDialTimeout);
  std::string host = target.host;
  auto addresses = co_await run_blocking([host] { return resolve(host); });
  Result<net::StreamPtr> outcome = service_unavailable(fmt::format("dial tcp: lookup {}: no such host", host));
  for (const std::string& literal : addresses) {
    if (!options_->destinations.allows(literal)) {
      outcome = forbidden({}, address,
                          fmt::format("dial tcp {}: this agent does not dial that (--allow-destinations)",
                                      net::Address{literal, target.port}.to_string()));
      continue;
    }
    outcome = co_await net::tcp_connect({literal, target.port}, kAgentDialTimeout);
    if (outcome) break;
  }
  co_return outcome;
}

Task<void> AgentTunnel::dial(Packet request) {
  auto self = shared_from_this();
  AgentMetrics& metrics = AgentMetrics::get();
  bool called_off = false;
  struct Dialling {
    AgentTunnel& tunnel;
    int64_t random;
    ~Dialling() { tunnel.dialling_.erase(random); }
  };
  Packet answer{.type = PacketType::DialRsp, .random = request.random};
  net::StreamPtr stream;
  {
    dialling_[request.random] = &called_off;
    Dialling dialling{*this, request.random};
    auto start = std::chrono::steady_clock::now();
    if (request.protocol != "tcp") {
      answer.error = fmt::format("protocol \"{}\" is not supported", request.protocol);
      metrics.dial_failed("unknown");
    } else {
      auto opened = co_await open(request.address);
      if (opened) {
        stream = std::move(*opened);
        metrics.dial_duration.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      } else {
        answer.error = opened.error().message();
        bool late = answer.error.find("i/o timeout") != std::string::npos;
        metrics.dial_failed(late ? "timeout" : opened.error().code() == 403 ? "denied" : "unknown");
        log_debug("konnectivity dial failed", {{"address", request.address}, {"error", answer.error}});
      }
    }
  }
  if (called_off) co_return;
  if (!stream) {
    link_->send(std::move(answer));
    co_return;
  }
  answer.connect_id = ++next_id_;
  auto connection = link_->add(answer.connect_id);
  if (!connection) co_return;
  metrics.endpoint_connections.add(1);
  link_->send(std::move(answer));
  co_await carry(std::move(stream), std::move(connection));
}

}  // namespace redoubt::konnectivity
