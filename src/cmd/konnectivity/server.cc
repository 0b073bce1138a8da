// konnectivity-server alone: its ports, wired.
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/konnectivity/authorize.h"
#include "cmd/konnectivity/health.h"
#include "cmd/konnectivity/leases.h"
#include "cmd/konnectivity/options.h"
#include "cmd/konnectivity/program.h"
#include "pki/certificate.h"

namespace redoubt::cmd {

namespace {

Result<std::shared_ptr<net::TlsServerContext>> server_tls(const KonnectivityServerOptions& options,
                                                          const std::string& cert, const std::string& key,
                                                          const std::string& ca, std::vector<std::string> alpn) {
  net::TlsServerContext::Options tls;
  RD_TRY(tls.certificate_pem, pki::read_file(cert));
  RD_TRY(tls.private_key_pem, pki::read_file(key));
  if (!ca.empty()) {
    RD_TRY(tls.required_client_ca_pem, pki::read_file(ca));
  }
  tls.request_client_certificate = !ca.empty();
  tls.policy = {options.tls_min_version, options.cipher_suites};
  tls.alpn = std::move(alpn);
  return net::TlsServerContext::make(std::move(tls));
}

class ServerProgram : public KonnectivityProgram {
 public:
  explicit ServerProgram(KonnectivityServerOptions options) : options_(std::move(options)) {}

 private:
  Result<void> start() override {
    RD_TRYV(validate(options_));
    options_.server_id = id_or_new(options_.server_id, "PROXY_SERVER_ID");
    konnectivity::Server::Options server;
    server.server_id = options_.server_id;
    server.server_count = options_.server_count;
    RD_TRY(server.strategies, konnectivity::parse_strategies(options_.proxy_strategies));
    server.backend_dial_timeout = to_ms(options_.backend_dial_timeout);
    if (options_.connection_buffer_bytes > 0)
      server.receive_budget = static_cast<size_t>(options_.connection_buffer_bytes);
    if (!options_.kubeconfig.empty()) {
      RD_TRY(client::Config config, client::load_kubeconfig(options_.kubeconfig));
      config.user_agent = "redoubt/konnectivity-server";
      api_ = std::make_shared<client::Client>(executor(), std::move(config));
    }
    if (!options_.agent_namespace.empty()) {
      server.authorize_agent = authorize_by_token(api_, options_.agent_namespace, options_.agent_service_account,
                                                  options_.authentication_audience);
    }
    server_ = konnectivity::Server::make(executor(), std::move(server));
    RD_TRYV(start_frontend());
    RD_TRYV(start_agents());
    RD_TRYV(start_port(options_.admin_bind_address, options_.admin_port, make_metrics_handler()));
    RD_TRYV(start_port(options_.health_bind_address, options_.health_port,
                       make_health_handler(
                           [server = server_] {
                             return server->ready() ? std::string() : std::string("no connection to any proxy agent");
                           },
                           500)));
    if (options_.enable_lease_controller)
      on_loop([this] { tasks_.spawn(keep_server_lease(api_, lease_options(), options_.server_id)); });
    log_info("konnectivity-server is up",
             {{"serverID", options_.server_id},
              {"agents", options_.agent_port},
              {"frontend", options_.uds_name.empty() ? std::to_string(options_.server_port) : options_.uds_name}});
    return {};
  }

  LeaseOptions lease_options() const { return {options_.lease_namespace, options_.lease_label}; }

  Task<void> wind_up() override {
    co_await tasks_.join();
    if (options_.enable_lease_controller) co_await delete_server_lease(api_, lease_options(), options_.server_id);
    // API servers first, then agents: what is under way may end by itself.
    for (auto& http : servers_) co_await http->drain(to_ms(options_.graceful_shutdown_timeout));
    co_await server_->scope().join();
  }
  void stopped() override {
    if (!options_.uds_name.empty()) ::unlink(options_.uds_name.c_str());
  }

  Result<void> start_frontend() {
    bool grpc = options_.mode == "grpc";
    net::HttpServerOptions http;
    http.handler = grpc ? server_->grpc_frontend() : server_->http_connect_frontend();
    http.ping_interval = to_ms(options_.frontend_keepalive_time);
    http.max_streams_per_connection = konnectivity::kMaxConnections;  // one a connection that is dialled
    if (!options_.uds_name.empty()) {
      if (!options_.delete_existing_uds_file && ::access(options_.uds_name.c_str(), F_OK) == 0)
        return bad_request(
            fmt::format("--uds-name {} exists (and --delete-existing-uds-file=false)", options_.uds_name));
      http.unix_path = options_.uds_name;
      http.unix_mode = 0660;  // upstream's: the API server may be another user of the same group
      return start_server(std::move(http));
    }
    http.address = options_.server_bind_address;
    http.port = static_cast<uint16_t>(options_.server_port);
    RD_TRY(http.tls, server_tls(options_, options_.server_cert, options_.server_key, options_.server_ca_cert,
                                grpc ? std::vector<std::string>{"h2"} : std::vector<std::string>{"http/1.1"}));
    return start_server(std::move(http));
  }

  Result<void> start_agents() {
    net::HttpServerOptions http;
    http.handler = server_->agent_handler();
    http.ping_interval = to_ms(options_.keepalive_time);
    http.max_streams_per_connection = 8;  // an agent makes one call
    http.address = options_.agent_bind_address;
    http.port = static_cast<uint16_t>(options_.agent_port);
    RD_TRY(http.tls,
           server_tls(options_, options_.cluster_cert, options_.cluster_key, options_.cluster_ca_cert, {"h2"}));
    return start_server(std::move(http));
  }

  KonnectivityServerOptions options_;
  std::shared_ptr<client::Client> api_;
  std::shared_ptr<konnectivity::Server> server_;
};

}  // namespace

Result<void> run_konnectivity_server(KonnectivityServerOptions options) {
  return ServerProgram(std::move(options)).run();
}

}  // namespace redoubt::cmd
