#include <CLI/CLI.hpp>

#include "base/log.h"
#include "base/time.h"
#include "cmd/konnectivity/options.h"
#include "egress/konnectivity/backends.h"
#include "egress/konnectivity/destinations.h"

namespace redoubt::cmd {

namespace {

// Go's durations ("1h0m0s").
void add_duration(CLI::App& command, const std::string& name, std::chrono::nanoseconds& into, const std::string& help) {
  command
      .add_option_function<std::string>(
          name,
          [&into, name](const std::string& text) {
            auto value = parse_go_duration(text);
            if (!value || value->count() < 0) throw CLI::ValidationError(name, text + " is no duration (like 30s)");
            into = *value;
          },
          help)
      ->default_str(format_go_duration(into));
}

// What upstream's programs take besides, and what means nothing here: a start script goes on working.
void add_ignored(CLI::App& command, std::initializer_list<const char*> with_value) {
  command.add_flag_function(
      "--logtostderr,--alsologtostderr,--warn-on-channel-limit", [](int64_t) {}, "taken for compatibility");
  for (const char* name : with_value) {
    command.add_option_function<std::string>(
        name,
        [name](const std::string&) {
          log_info("a flag of upstream's has no meaning here and is passed over", {{"flag", name}});
        },
        "taken for compatibility");
  }
  command.add_option_function<int>(
      "--v",
      [](int level) {
        if (level >= 4) set_log_level(LogLevel::Debug);
      },
      "upstream's verbosity: from 4 on, debug");
}

Error unset(const std::string& what) {
  return bad_request(what);
}

Result<void> pair_of(const std::string& name, const std::string& cert, const std::string& key) {
  if (cert.empty() == key.empty()) return {};
  return unset(fmt::format("--{}-cert and --{}-key go together", name, name));
}

}  // namespace

void add_konnectivity_server_flags(CLI::App& c, KonnectivityServerOptions& o) {
  c.add_option("--server-cert", o.server_cert, "certificate towards API servers (TCP)");
  c.add_option("--server-key", o.server_key, "its key");
  c.add_option("--server-ca-cert", o.server_ca_cert, "authority of API servers' client certificates (TCP)");
  c.add_option("--cluster-cert", o.cluster_cert, "certificate towards agents");
  c.add_option("--cluster-key", o.cluster_key, "its key");
  c.add_option("--cluster-ca-cert", o.cluster_ca_cert, "authority of agents' client certificates");
  c.add_option("--mode", o.mode, "how API servers ask: grpc or http-connect")->capture_default_str();
  c.add_option("--uds-name", o.uds_name, "unix socket for API servers, instead of a TCP port");
  c.add_flag("--delete-existing-uds-file", o.delete_existing_uds_file, "replace a socket that is there (default true)");
  c.add_option("--server-port", o.server_port, "port for API servers; 0 with --uds-name")->capture_default_str();
  c.add_option("--server-bind-address", o.server_bind_address, "address for API servers; empty: all");
  c.add_option("--agent-port", o.agent_port, "port for agents")->capture_default_str();
  c.add_option("--agent-bind-address", o.agent_bind_address, "address for agents; empty: all");
  c.add_option("--admin-port", o.admin_port, "port for metrics")->capture_default_str();
  c.add_option("--admin-bind-address", o.admin_bind_address)->capture_default_str();
  c.add_option("--health-port", o.health_port, "port for /healthz, /readyz and metrics")->capture_default_str();
  c.add_option("--health-bind-address", o.health_bind_address, "upstream's default is all addresses")
      ->capture_default_str();
  add_duration(c, "--keepalive-time", o.keepalive_time, "silence of an agent that is asked about by a ping");
  add_duration(c, "--frontend-keepalive-time", o.frontend_keepalive_time, "the same for an API server");
  c.add_option("--server-id", o.server_id, "this server's id (default: PROXY_SERVER_ID, or a new UUID)");
  c.add_option("--server-count", o.server_count, "how many servers agents should connect to")->capture_default_str();
  c.add_option("--agent-namespace", o.agent_namespace, "namespace of the agents' ServiceAccount");
  c.add_option("--agent-service-account", o.agent_service_account, "the agents' ServiceAccount");
  c.add_option("--authentication-audience", o.authentication_audience, "audience of the agents' tokens");
  c.add_option("--kubeconfig", o.kubeconfig, "how to reach the API server, for token reviews and leases");
  c.add_option("--proxy-strategies", o.proxy_strategies, "in order: destHost, defaultRoute, default")
      ->capture_default_str();
  c.add_option("--cipher-suites", o.cipher_suites, "TLS 1.2's, by IANA's names")->delimiter(',');
  c.add_option("--tls-min-version", o.tls_min_version, "VersionTLS12 or VersionTLS13");
  c.add_flag("--enable-lease-controller", o.enable_lease_controller,
             "publish a Lease of this server, and remove dead ones");
  c.add_option("--lease-namespace", o.lease_namespace)->capture_default_str();
  c.add_option("--lease-label", o.lease_label)->capture_default_str();
  add_duration(c, "--graceful-shutdown-timeout", o.graceful_shutdown_timeout,
               "how long connections may go on after a signal; 0: they end");
  add_duration(c, "--backend-dial-timeout", o.backend_dial_timeout, "for an agent's answer to a dial; 0: none");
  c.add_option("--connection-buffer-bytes", o.connection_buffer_bytes,
               "what a slow reader may leave unread of an agent that knows no flow control, before its connection is "
               "closed (default 16 MiB)");
  add_ignored(c, {"--kubeconfig-qps", "--kubeconfig-burst", "--kube-api-content-type", "--xfr-channel-size",
                  "--enable-profiling", "--enable-contention-profiling"});
}

Result<void> validate(const KonnectivityServerOptions& o) {
  RD_TRYV(pair_of("server", o.server_cert, o.server_key));
  RD_TRYV(pair_of("cluster", o.cluster_cert, o.cluster_key));
  if (o.mode != "grpc" && o.mode != "http-connect")
    return unset(fmt::format("--mode must be set to either 'grpc' or 'http-connect' not \"{}\"", o.mode));
  if (!o.uds_name.empty()) {
    if (o.server_port != 0) return unset("--server-port should be set to 0 with --uds-name");
    if (!o.server_cert.empty() || !o.server_ca_cert.empty())
      return unset("--server-cert, --server-key and --server-ca-cert should not be set with --uds-name");
  } else {
    if (o.server_ca_cert.empty()) return unset("--server-ca-cert must be set without --uds-name");
    if (o.server_cert.empty()) return unset("--server-cert and --server-key must be set without --uds-name");
  }
  if (o.cluster_cert.empty()) return unset("--cluster-cert and --cluster-key must be set");
  bool tokens = !o.agent_namespace.empty() || !o.agent_service_account.empty() || !o.authentication_audience.empty();
  if (tokens) {
    if (!o.cluster_ca_cert.empty())
      return unset("--cluster-ca-cert can not be used when agents authenticate with tokens (--agent-namespace)");
    if (o.agent_namespace.empty() || o.agent_service_account.empty() || o.authentication_audience.empty())
      return unset("--agent-namespace, --agent-service-account and --authentication-audience go together");
  } else if (o.cluster_ca_cert.empty()) {
    return unset(
        "agents must authenticate: set --cluster-ca-cert (client certificates), or --agent-namespace, "
        "--agent-service-account and --authentication-audience (tokens)");
  }
  if ((tokens || o.enable_lease_controller) && o.kubeconfig.empty())
    return unset("--kubeconfig must be set for agents' tokens and for --enable-lease-controller");
  RD_TRYV(konnectivity::parse_strategies(o.proxy_strategies));
  if (!o.tls_min_version.empty() && o.tls_min_version != "VersionTLS12" && o.tls_min_version != "VersionTLS13")
    return unset(fmt::format("--tls-min-version {}: VersionTLS12 and VersionTLS13 exist", o.tls_min_version));
  for (int port : {o.agent_port, o.admin_port, o.health_port}) {
    if (port < 1 || port > 65535) return unset(fmt::format("port {} is none", port));
  }
  if (o.server_count < 1) return unset("--server-count must be at least 1");
  if (o.enable_lease_controller && o.lease_label.find('=') == std::string::npos)
    return unset("--lease-label must be key=value");
  return {};
}

void add_konnectivity_agent_flags(CLI::App& c, KonnectivityAgentOptions& o) {
  c.add_option("--agent-cert", o.agent_cert, "client certificate");
  c.add_option("--agent-key", o.agent_key, "its key");
  c.add_option("--ca-cert", o.ca_cert, "authority of the proxy server's certificate; empty: the system's");
  c.add_option("--proxy-server-host", o.proxy_server_host)->capture_default_str();
  c.add_option("--proxy-server-port", o.proxy_server_port)->capture_default_str();
  c.add_option("--alpn-proto", o.alpn_protos, "further ALPN protocols to offer")->delimiter(',');
  c.add_option("--health-server-host", o.health_server_host, "upstream's default is all addresses")
      ->capture_default_str();
  c.add_option("--health-server-port", o.health_server_port, "port for /healthz, /readyz and metrics")
      ->capture_default_str();
  c.add_option("--admin-server-port", o.admin_server_port, "port for metrics")->capture_default_str();
  c.add_option("--admin-bind-address", o.admin_bind_address)->capture_default_str();
  c.add_option("--agent-id", o.agent_id, "this agent's id (default: PROXY_AGENT_ID, or a new UUID)");
  c.add_option("--agent-identifiers", o.agent_identifiers,
               "what this agent reaches, URL-encoded: ipv4, ipv6, host, cidr, default-route");
  add_duration(c, "--sync-interval", o.sync_interval, "between two looks whether all servers are connected");
  add_duration(c, "--sync-interval-cap", o.sync_interval_cap, "what it grows to while no server can be reached");
  add_duration(c, "--probe-interval", o.probe_interval, "taken for compatibility: a lost tunnel is noticed at once");
  add_duration(c, "--keepalive-time", o.keepalive_time,
               "silence of the server that is asked about by a ping; upstream's servers allow none below 30s");
  c.add_option("--service-account-token-path", o.service_account_token_path, "token that proves this agent's identity");
  c.add_flag("--sync-forever", o.sync_forever, "go on calling after all servers known were reached");
  c.add_flag("--count-server-leases", o.count_server_leases, "count servers by their Leases");
  c.add_option("--lease-namespace", o.lease_namespace)->capture_default_str();
  c.add_option("--lease-label-selector,--lease-label", o.lease_label_selector)->capture_default_str();
  c.add_option("--server-count-source", o.server_count_source,
               "default, or max: the larger of Leases and servers' word")
      ->check(CLI::IsMember({"", "default", "max"}));
  c.add_option("--kubeconfig", o.kubeconfig, "how to reach the API server for Leases; empty: from within a pod");
  c.add_option("--allow-destinations", o.allow_destinations,
               "what may be dialled: any, node (this host's addresses), networks and addresses")
      ->delimiter(',')
      ->capture_default_str();
  add_duration(c, "--drain-timeout", o.drain_timeout, "how long connections may go on after a signal");
  c.add_option("--connection-buffer-bytes", o.connection_buffer_bytes,
               "what a slow target may leave unread where the server knows no flow control, before its connection is "
               "closed (default 16 MiB)");
  add_ignored(c,
              {"--kube-api-content-type", "--xfr-channel-size", "--enable-profiling", "--enable-contention-profiling"});
}

Result<void> validate(const KonnectivityAgentOptions& o) {
  RD_TRYV(pair_of("agent", o.agent_cert, o.agent_key));
  for (int port : {o.proxy_server_port, o.health_server_port, o.admin_server_port}) {
    if (port < 1 || port > 65535) return unset(fmt::format("port {} is none", port));
  }
  if (o.sync_interval > o.sync_interval_cap)
    return unset("--sync-interval must not be greater than --sync-interval-cap");
  RD_TRYV(konnectivity::parse_identifiers(o.agent_identifiers, true));
  RD_TRYV(konnectivity::Destinations::parse(o.allow_destinations));
  return {};
}

}  // namespace redoubt::cmd
