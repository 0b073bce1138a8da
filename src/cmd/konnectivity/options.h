// What `redoubt konnectivity-server` and `konnectivity-agent` can be told: upstream's flags under upstream's names, and
// what the two programs do with them.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "base/status.h"

namespace CLI {
class App;
}

namespace redoubt::cmd {

struct KonnectivityServerOptions {
  // Towards API servers.
  std::string server_cert, server_key, server_ca_cert;
  std::string mode = "grpc";
  std::string uds_name;
  bool delete_existing_uds_file = true;
  std::string server_bind_address;
  int server_port = 8090;
  std::chrono::nanoseconds frontend_keepalive_time = std::chrono::minutes(1);
  // Towards agents.
  std::string cluster_cert, cluster_key, cluster_ca_cert;
  std::string agent_bind_address;
  int agent_port = 8091;
  std::chrono::nanoseconds keepalive_time = std::chrono::seconds(30);
  std::string agent_namespace, agent_service_account, authentication_audience;
  std::string kubeconfig;
  // Both.
  std::vector<std::string> cipher_suites;
  std::string tls_min_version;
  std::string admin_bind_address = "127.0.0.1";
  int admin_port = 8095;
  std::string health_bind_address = "127.0.0.1";
  int health_port = 8092;
  std::string server_id;
  int server_count = 1;
  std::string proxy_strategies = "default";
  std::chrono::nanoseconds backend_dial_timeout = std::chrono::seconds(30);
  std::chrono::nanoseconds graceful_shutdown_timeout{0};
  bool enable_lease_controller = false;
  std::string lease_namespace = "kube-system";
  std::string lease_label = "k8s-app=konnectivity-server";
  int64_t connection_buffer_bytes = 0;  // 0: the default
};
void add_konnectivity_server_flags(CLI::App& command, KonnectivityServerOptions& options);
// Errors name the flag and the remedy.
Result<void> validate(const KonnectivityServerOptions& options);
// Runs until a signal. Blocking.
Result<void> run_konnectivity_server(KonnectivityServerOptions options);

struct KonnectivityAgentOptions {
  std::string agent_cert, agent_key, ca_cert;
  std::string proxy_server_host = "127.0.0.1";
  int proxy_server_port = 8091;
  std::vector<std::string> alpn_protos;
  std::string health_server_host = "127.0.0.1";
  int health_server_port = 8093;
  std::string admin_bind_address = "127.0.0.1";
  int admin_server_port = 8094;
  std::string agent_id;
  std::string agent_identifiers;
  std::chrono::nanoseconds sync_interval = std::chrono::seconds(1);
  std::chrono::nanoseconds sync_interval_cap = std::chrono::seconds(10);
  std::chrono::nanoseconds probe_interval = std::chrono::seconds(1);
  std::chrono::nanoseconds keepalive_time = std::chrono::seconds(40);
  std::string service_account_token_path;
  bool sync_forever = false;
  bool count_server_leases = false;
  std::string lease_namespace = "kube-system";
  std::string lease_label_selector = "k8s-app=konnectivity-server";
  std::string server_count_source = "default";
  std::string kubeconfig;
  std::vector<std::string> allow_destinations = {"any"};
  std::chrono::nanoseconds drain_timeout = std::chrono::seconds(20);
  int64_t connection_buffer_bytes = 0;
};
void add_konnectivity_agent_flags(CLI::App& command, KonnectivityAgentOptions& options);
Result<void> validate(const KonnectivityAgentOptions& options);
Result<void> run_konnectivity_agent(KonnectivityAgentOptions options);

}  // namespace redoubt::cmd
