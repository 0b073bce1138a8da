// konnectivity-agent: its tunnels and ports, wired.
#include "egress/konnectivity/agent.h"

#include <cstdlib>

#include "base/log.h"
#include "cmd/konnectivity/health.h"
#include "cmd/konnectivity/leases.h"
#include "cmd/konnectivity/options.h"
#include "cmd/konnectivity/program.h"
#include "pki/certificate.h"

namespace redoubt::cmd {

namespace {

// How a pod reaches the API server.
Result<client::Config> in_cluster_config() {
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (host == nullptr || port == nullptr)
    return bad_request("--kubeconfig is empty, and this is no pod (KUBERNETES_SERVICE_HOST is not set)");
  const std::string folder = "/var/run/secrets/kubernetes.io/serviceaccount/";
  client::Config config;
  config.server = "https://" + net::Address{host, static_cast<uint16_t>(std::atoi(port))}.to_string();
  RD_TRY(config.ca_pem, pki::read_file(folder + "ca.crt"));
  config.bearer_token_file = folder + "token";
  return config;
}

Task<void> run_agent(std::shared_ptr<konnectivity::Agent> agent) {
  co_await agent->run();
}

class AgentProgram : public KonnectivityProgram {
 public:
  explicit AgentProgram(KonnectivityAgentOptions options) : options_(std::move(options)) {}

 private:
  Result<void> start() override {
    RD_TRYV(validate(options_));
    options_.agent_id = id_or_new(options_.agent_id, "PROXY_AGENT_ID");
    RD_TRYV(tls());  // a wrong file is told at once
    konnectivity::Agent::Options agent;
    agent.server = {options_.proxy_server_host, static_cast<uint16_t>(options_.proxy_server_port)};
    agent.tls = [this] { return tls(); };
    agent.agent_id = options_.agent_id;
    agent.identifiers = options_.agent_identifiers;
    agent.service_account_token_path = options_.service_account_token_path;
    agent.sync_interval = to_ms(options_.sync_interval);
    agent.sync_interval_cap = to_ms(options_.sync_interval_cap);
    agent.keepalive = to_ms(options_.keepalive_time);
    agent.sync_forever = options_.sync_forever;
    agent.count_max = options_.server_count_source == "max";
    RD_TRY(agent.destinations, konnectivity::Destinations::parse(options_.allow_destinations));
    if (agent.destinations.any()) {
      log_warning("this agent dials whatever its proxy servers ask for, as upstream's does",
                  {{"remedy", "--allow-destinations=node,POD-CIDR"}});
    }
    if (options_.connection_buffer_bytes > 0)
      agent.receive_budget = static_cast<size_t>(options_.connection_buffer_bytes);
    if (options_.count_server_leases) {
      Result<client::Config> config =
          options_.kubeconfig.empty() ? in_cluster_config() : client::load_kubeconfig(options_.kubeconfig);
      if (!config) return Error(config.error());
      config->user_agent = "redoubt/konnectivity-agent";
      auto api = std::make_shared<client::Client>(executor(), std::move(*config));
      auto count = std::make_shared<std::optional<int>>();
      agent.lease_count = [count] { return *count; };
      on_loop([this, api, count] {
        LeaseOptions leases{options_.lease_namespace, options_.lease_label_selector};
        tasks_.spawn(count_server_leases(api, std::move(leases), count));
      });
    }
    agent_ = konnectivity::Agent::make(executor(), std::move(agent));
    RD_TRYV(start_port(options_.admin_bind_address, options_.admin_server_port, make_metrics_handler()));
    auto not_ready = [agent = agent_] {
      return agent->ready() ? std::string()
                            : std::string("[+]ping ok\n[-]server-connected failed: no servers connected\n");
    };
    RD_TRYV(start_port(options_.health_server_host, options_.health_server_port, make_health_handler(not_ready, 503)));
    on_loop([this] { tasks_.spawn(run_agent(agent_)); });
    log_info("konnectivity-agent is up",
             {{"agentID", options_.agent_id},
              {"server", fmt::format("{}:{}", options_.proxy_server_host, options_.proxy_server_port)}});
    return {};
  }

  Task<void> wind_up() override {
    co_await agent_->drain(to_ms(options_.drain_timeout));
    co_await tasks_.join();
    for (auto& http : servers_) co_await http->drain(std::chrono::milliseconds(0));
  }

  Result<std::shared_ptr<net::TlsClientContext>> tls() const {
    net::TlsClientContext::Options tls;
    if (!options_.ca_cert.empty()) {
      RD_TRY(tls.ca_pem, pki::read_file(options_.ca_cert));
    }
    if (!options_.agent_cert.empty()) {
      RD_TRY(tls.certificate_pem, pki::read_file(options_.agent_cert));
      RD_TRY(tls.private_key_pem, pki::read_file(options_.agent_key));
    }
    tls.alpn = {"h2"};
    tls.alpn.insert(tls.alpn.end(), options_.alpn_protos.begin(), options_.alpn_protos.end());
    return net::TlsClientContext::make(std::move(tls));
  }

  KonnectivityAgentOptions options_;
  std::shared_ptr<konnectivity::Agent> agent_;
};

}  // namespace

Result<void> run_konnectivity_agent(KonnectivityAgentOptions options) {
  return AgentProgram(std::move(options)).run();
}

}  // namespace redoubt::cmd
