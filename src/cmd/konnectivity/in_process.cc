#include "cmd/konnectivity/in_process.h"

#include <boost/asio/post.hpp>

#include "base/log.h"
#include "base/random.h"
#include "cmd/konnectivity/authorize.h"
#include "cmd/konnectivity/health.h"
#include "egress/konnectivity/dialer.h"

namespace redoubt::cmd {

namespace {

// Agents of the largest cluster, twice over while they reconnect.
constexpr size_t kMaxAgentConnections = 40'000;

class InProcess : public InProcessKonnectivity {
 public:
  InProcess(const KonnectivityInProcess& options, TunnelLoop& loop) : options_(options), loop_(loop) {}

  Result<void> prepare(AgentTrust trust, konnectivity::AddressesOf addresses_of) {
    trust.api.user_agent = "redoubt/konnectivity-server";
    api_ = std::make_shared<client::Client>(loop_.executor(), std::move(trust.api));
    konnectivity::Server::Options server;
    server.server_id = random_uuid();
    server.server_count = options_.server_count;
    RD_TRY(server.strategies, konnectivity::parse_strategies(options_.proxy_strategies));
    server.authorize_agent = authorize_node_agents({std::move(trust.client_ca_pem), api_, options_.agent_namespace,
                                                    options_.agent_service_account, options_.authentication_audience,
                                                    std::move(addresses_of)});
    server_ = konnectivity::Server::make(loop_.executor(), std::move(server));
    loop_.at_end([this] { return wind_up(this); });
    return {};
  }

  std::unique_ptr<egress::Dialer> dialer() override { return konnectivity::make_konnectivity_dialer(server_); }

  std::vector<egress::TunnelInfo> list() const override {
    std::vector<egress::TunnelInfo> out;
    for (konnectivity::AgentReport& agent : server_->agents()) out.push_back(std::move(agent));
    return out;
  }

  Result<void> start(std::shared_ptr<net::TlsServerContext> tls) override {
    net::HttpServerOptions http;
    http.handler = server_->agent_handler();
    http.ping_interval = konnectivity::kTunnelPingInterval;
    http.max_streams_per_connection = 8;  // an agent makes one call
    http.max_connections = kMaxAgentConnections;
    http.address = options_.agent_bind_address;
    http.port = options_.agent_port;
    http.tls = std::move(tls);
    RD_TRY(http_, start_listening(loop_.pool(), std::move(http)));
    log_info("konnectivity-agents are served", {{"path", "tunnel-konnectivity"}, {"port", options_.agent_port}});
    return {};
  }

  void replace(const pki::ClusterPki& pki) override {
    boost::asio::post(loop_.executor(), [this, ca = pki.root_bundle, own = pki.clients.at(kIdentity)] {
      if (!api_) return;
      Result<void> done = api_->replace_roots(ca);
      if (done) done = api_->replace_certificate(own.certificate_pem, own.private_key_pem);
      if (!done) log_error("konnectivity keeps its old certificate", {{"error", done.error().message()}});
    });
  }

  static constexpr const char* kIdentity = "controller-manager";  // may review tokens

 private:
  static Task<void> wind_up(InProcess* self) {
    if (self->http_) co_await self->http_->drain(std::chrono::milliseconds(0));
    co_await self->server_->scope().join();
  }

  const KonnectivityInProcess options_;
  TunnelLoop& loop_;
  std::shared_ptr<client::Client> api_;
  std::shared_ptr<konnectivity::Server> server_;
  std::unique_ptr<net::HttpServer> http_;
};

}  // namespace

Result<std::unique_ptr<InProcessKonnectivity>> InProcessKonnectivity::make(
    const KonnectivityInProcess& options, TunnelLoop& loop, AgentTrust trust,
    std::function<Result<egress::reverse::NodeAddresses>(const std::string& node)> addresses_of) {
  auto out = std::make_unique<InProcess>(options, loop);
  RD_TRYV(out->prepare(std::move(trust), std::move(addresses_of)));
  return out;
}

}  // namespace redoubt::cmd
