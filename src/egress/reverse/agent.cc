#include "egress/reverse/agent.h"

#include <nghttp2/nghttp2.h>

#include "base/event.h"
#include "base/log.h"
#include "base/random.h"
#include "dial/proxy.h"
#include "egress/limits.h"
#include "egress/reverse/protocol.h"
#include "net/http2.h"
#include "net/tcp.h"

namespace redoubt::egress::reverse {

namespace {

using Clock = std::chrono::steady_clock;

// Half to one and a half of it, so that a server's nodes don't all come back at the same moment.
std::chrono::milliseconds jittered(std::chrono::milliseconds wait) {
  auto half = static_cast<uint64_t>(std::max<int64_t>(wait.count() / 2, 1));
  return std::chrono::milliseconds(half + random_below(2 * half));
}

}  // namespace

struct Agent::State : std::enable_shared_from_this<Agent::State> {
  // The tunnel to one server's address.
  struct Link {
    explicit Link(Executor executor) : scope(executor, "tunnel link"), changed(executor) {}
    net::Address server;
    std::string server_id;                                           // of the process that answered
    std::vector<std::shared_ptr<net::Http2Connection>> connections;  // the last one is current
    uint64_t connects = 0;
    std::string last_error;
    bool duplicate = false;
    Scope scope;
    Event changed;
  };

  State(Executor e, AgentOptions o) : executor(e), options(std::move(o)), links_changed(e), scope(e, "tunnel agent") {}

  Executor executor;
  AgentOptions options;
  NodeAddresses addresses;
  std::vector<net::Address> servers;
  std::map<std::string, std::unique_ptr<Link>> links;
  Event links_changed;
  Scope scope;
  bool draining = false;

  size_t streams() const {
    size_t out = 0;
    for (const auto& [name, link] : links) {
      for (const auto& c : link->connections) out += c->streams();
    }
    return out;
  }

  // ---- what servers ask for ----

  // Where a CONNECT may go, or why not.
  Result<net::Address> target_of(std::string_view authority) const {
    RD_TRY(net::Address address, net::parse_address(authority));
    if (address.host == options.node) {
      if (address.port == options.kubelet.port) return options.kubelet;
      return Error(Status(403, "Forbidden",
                          fmt::format("by its name, node \"{}\" is reached at its kubelet's port {} only, not {}",
                                      options.node, options.kubelet.port, address.port)));
    }
    RD_TRYV(addresses.check(address.host));
    // With a tunnel the kubelet listens on loopback: its port on the node's own address is it all the same.
    if (address.port == options.kubelet.port && addresses.of_node(address.host)) return options.kubelet;
    return address;
  }

  static Task<void> answer(std::shared_ptr<net::Http2Stream> stream, std::shared_ptr<State> self) {
    auto refuse = [&stream](int status, const std::string& why) {
      if (stream->connection == nullptr) return;
      net::Headers headers{{std::string(kErrorHeader), printable(why)}};
      if (stream->connection->respond(*stream, status, headers, false)) stream->out_ended = true;
      stream->stop_reading();
    };
    std::string authority(stream->in_headers.get(":authority").value_or(""));
    std::string path = printable(stream->in_headers.get(kPathHeader).value_or(""));
    bool connect = stream->in_headers.get(":method") == "CONNECT" && !stream->in_headers.has(":protocol");
    stream->in_headers = {};
    if (!connect) co_return refuse(405, "a tunnel carries CONNECT requests only");
    if (self->draining) co_return stream->reset(NGHTTP2_REFUSED_STREAM);
    auto target = self->target_of(authority);
    if (!target) {
      log_warning("tunnel: refused to dial", {{"path", path}, {"target", printable(authority)}});
      co_return refuse(target.error().code(), target.error().message());
    }
    auto dialled = co_await self->options.dial_target(*target);
    if (!dialled) co_return refuse(502, dialled.error().message());
    if (stream->connection == nullptr || stream->closed) co_return;
    if (!stream->connection->respond(*stream, 200, {}, true)) co_return;
    co_await net::splice(net::make_http2_tunnel(std::move(stream)), std::move(*dialled));
  }

  // ---- the way to a server ----

  Task<Result<net::StreamPtr>> connect(Link& link) {
    net::HttpClient::Options http;
    http.dial = [dial = options.dial_server, server = link.server] { return dial(server); };
    http.host = link.server.to_string();
    http.tls = options.tls;
    auto client = net::HttpClient::make(executor, std::move(http));
    net::ClientRequest request;
    request.method = "POST";
    request.target = fmt::format("/api/v1/nodes/{}/tunnel", net::percent_encode(options.node));
    request.headers = {{"connection", "Upgrade"},
                       {"upgrade", std::string(kUpgradeToken)},
                       {"user-agent", "redoubt/agent"},
                       {"accept", "application/json"}};
    request.header_timeout = options.dial_timeout;
    std::string have;
    for (const auto& [name, other] : links) {
      if (other.get() != &link && !other->connections.empty() && other->connections.back()->usable())
        have += (have.empty() ? "" : ",") + other->server_id;
    }
    if (!have.empty()) request.headers.add(std::string(kHaveHeader), have);
    RD_CO_TRY(auto response, co_await client->upgrade(std::move(request)));
    if (response.status == 409) co_return conflict({"", "nodes/tunnel"}, options.node, "there is a tunnel already");
    if (response.status != 101) {
      std::string said;
      if (auto body = co_await net::read_body(*response.body, 16 * 1024)) said = printable(*body);
      co_return service_unavailable(fmt::format("the server answered {} to the tunnel: {}", response.status, said));
    }
    link.server_id = printable(response.headers.get(kServerHeader).value_or(""));
    co_return std::move(response.stream);
  }

  static Task<void> serve(std::shared_ptr<State> self, Link& link, std::shared_ptr<net::Http2Connection> connection) {
    struct Gone {
      Link& link;
      std::shared_ptr<net::Http2Connection> connection;
      ~Gone() {
        std::erase(link.connections, connection);
        link.changed.notify();
      }
    } gone{link, connection};
    co_await connection->run();
  }

  std::shared_ptr<net::Http2Connection> start(Link& link, net::StreamPtr stream) {
    net::Http2Connection::Options settings;
    settings.server = true;
    settings.tunnel = true;
    settings.max_streams = kTunnelStreams;
    settings.max_header_bytes = kTunnelHeaderBytes;
    settings.ping_interval = options.ping_interval;
    settings.on_change = [&link] { link.changed.notify(); };
    settings.on_request = [self = weak_from_this()](std::shared_ptr<net::Http2Stream> request) {
      auto alive = self.lock();
      if (!alive) return;
      request->handler = std::make_unique<Scope>(alive->executor, "tunnel stream");
      request->handler->spawn(answer(request, alive));
    };
    auto connection = std::make_shared<net::Http2Connection>(std::move(stream), std::move(settings), executor);
    link.connections.push_back(connection);
    ++link.connects;
    link.scope.spawn(serve(shared_from_this(), link, connection));
    return connection;
  }

  static Task<void> keep_up(std::shared_ptr<State> self, Link& link) {
    auto wait = self->options.first_retry;
    while (!self->draining) {
      auto stream = co_await self->connect(link);
      link.duplicate = !stream && stream.error().is("Conflict");
      if (link.duplicate) {
        // Perhaps it leads elsewhere later.
        co_await link.changed.wait_for(jittered(kDuplicateRetry));
        continue;
      }
      if (stream) {
        auto connection = self->start(link, std::move(*stream));
        log_info("tunnel is up", {{"path", "tunnel-reverse"}, {"server", link.server.to_string()}});
        auto since = Clock::now();
        link.last_error.clear();
        // Until it is lost, or the server winds it up: then the next one, while this one serves its streams.
        while (connection->usable() &&
               std::find(link.connections.begin(), link.connections.end(), connection) != link.connections.end())
          co_await link.changed.wait();
        log_info("tunnel is down", {{"path", "tunnel-reverse"}, {"server", link.server.to_string()}});
        if (connection->usable() || connection->streams() > 0) connection->drain();
        if (Clock::now() - since > kSteadyTunnel) wait = self->options.first_retry;
      } else if (link.last_error != stream.error().message()) {
        link.last_error = stream.error().message();
        log_warning("no tunnel to the server",
                    {{"path", "tunnel-reverse"}, {"server", link.server.to_string()}, {"error", link.last_error}});
      }
      co_await sleep_for(jittered(wait));
      wait = std::min(wait * 2, self->options.last_retry);
    }
  }

  // ---- which servers ----

  // Links that are no longer wanted end; new ones begin.
  Task<void> apply() {
    std::vector<std::unique_ptr<Link>> ending;
    for (auto it = links.begin(); it != links.end();) {
      bool wanted = std::any_of(servers.begin(), servers.end(),
                                [&](const net::Address& server) { return server.to_string() == it->first; });
      if (wanted) {
        ++it;
      } else {
        ending.push_back(std::move(it->second));
        it = links.erase(it);
      }
    }
    for (auto& link : ending) co_await link->scope.join();
    for (const net::Address& server : servers) {
      auto& link = links[server.to_string()];
      if (link) continue;
      link = std::make_unique<Link>(executor);
      link->server = server;
      link->scope.spawn(keep_up(shared_from_this(), *link));
    }
  }

  static Task<void> run(std::shared_ptr<State> self) {
    std::exception_ptr cancelled;
    try {
      while (true) {
        co_await self->apply();
        co_await self->links_changed.wait();
      }
    } catch (...) {
      cancelled = std::current_exception();
    }
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    for (auto& [name, link] : self->links) {
      for (const auto& connection : link->connections) connection->abort();
      co_await link->scope.join();
    }
    self->links.clear();
    std::rethrow_exception(cancelled);
  }
};

Agent::Agent(Executor executor, AgentOptions options) {
  if (!options.dial_server) {
    options.dial_server = [settings = net::ProxySettings::from_environment(), timeout = options.dial_timeout](
                              net::Address server) { return net::dial_out(std::move(server), settings, timeout); };
  }
  if (!options.dial_target) {
    options.dial_target = [timeout = options.dial_timeout](net::Address target) {
      return net::tcp_connect(std::move(target), timeout);
    };
  }
  state_ = std::make_shared<State>(executor, std::move(options));
}

Agent::~Agent() = default;

void Agent::set_servers(std::vector<net::Address> servers) {
  auto names = [](const std::vector<net::Address>& all) {
    std::set<std::string> out;
    for (const auto& a : all) out.insert(a.to_string());
    return out;
  };
  if (names(servers) == names(state_->servers)) return;
  state_->servers = std::move(servers);
  state_->links_changed.notify();
}

void Agent::set_addresses(NodeAddresses addresses) {
  state_->addresses = std::move(addresses);
}

Task<void> Agent::run() {
  return State::run(state_);
}

Task<void> Agent::drain(std::chrono::milliseconds deadline) {
  auto state = state_;
  state->draining = true;
  auto end = Clock::now() + deadline;
  for (auto& [name, link] : state->links) {
    for (const auto& connection : link->connections) connection->drain();
  }
  while (state->streams() > 0 && Clock::now() < end) co_await sleep_for(std::chrono::milliseconds(20));
}

std::vector<LinkInfo> Agent::links() const {
  std::vector<LinkInfo> out;
  for (const auto& [name, link] : state_->links) {
    LinkInfo info;
    info.server = name;
    info.connects = link->connects;
    info.last_error = link->duplicate ? "leads to a server that has a tunnel by another address" : link->last_error;
    for (const auto& c : link->connections) info.streams += c->streams();
    if (!link->connections.empty()) {
      info.up = link->connections.back()->usable();
      info.round_trip = link->connections.back()->round_trip();
    }
    out.push_back(std::move(info));
  }
  return out;
}

}  // namespace redoubt::egress::reverse
