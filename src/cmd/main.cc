// redoubt: one program, its subcommands.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "base/log.h"
#include "cmd/server.h"
#include "cmd/up.h"
#include "kubelet/kubelet.h"

namespace {

using namespace redoubt;

// Waits for SIGTERM or SIGINT. Both are blocked before any thread starts, so that only this takes them.
void wait_for_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  int signal_number = 0;
  sigwait(&set, &signal_number);
  log_info("stopping", {{"signal", signal_number}});
}

void block_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

int fail(const Status& status) {
  std::fprintf(stderr, "error: %s\n", status.message().c_str());
  return 1;
}

void add_server_flags(CLI::App& app, cmd::ServerOptions& options) {
  app.add_option("--data-dir", options.data_dir, "where keys, certificates and the database are kept")
      ->capture_default_str();
  app.add_option("--bind-address", options.bind_address, "address of the secure port")->capture_default_str();
  app.add_option("--secure-port", options.secure_port, "the one HTTPS port")->capture_default_str();
  app.add_option("--advertise-address", options.advertise_address,
                 "address that nodes and pods reach the API server by (default: the default route's)");
  app.add_option("--service-cluster-ip-range", options.service_cluster_ip_range,
                 "network of Services' virtual addresses")
      ->capture_default_str();
  app.add_option("--cluster-cidr", options.cluster_cidr, "network of pods' addresses")->capture_default_str();
  app.add_option("--write-kubeconfig", options.write_kubeconfig,
                 "where the administrator's kubeconfig goes (default: DATA-DIR/admin.kubeconfig)");
  app.add_option("--tls-san", options.tls_sans, "further name or address in the API server's certificate");
  app.add_option("--max-requests-inflight", options.max_requests_inflight, "reading requests under way at once")
      ->capture_default_str();
  app.add_option("--max-mutating-requests-inflight", options.max_mutating_requests_inflight,
                 "writing requests under way at once")
      ->capture_default_str();
  app.add_option("--node-address-allow", options.node_address_allow,
                 "CIDR whose addresses kubelets' serving certificates may carry");
}

void add_agent_flags(CLI::App& app, kubelet::Options& options, std::string& run_dir) {
  app.add_option("--hostname-override", options.node_name, "the node's name (default: the host's)");
  app.add_option("--node-ip", options.node_ip, "the node's address (default: the default route's)");
  app.add_option("--run-dir", run_dir, "sockets and what need not outlive a reboot")->capture_default_str();
  app.add_option("--kubelet-address", options.address, "address of the kubelet's HTTPS API")->capture_default_str();
  app.add_option("--kubelet-port", options.port, "port of the kubelet's HTTPS API")->capture_default_str();
  app.add_option("--container-runtime-endpoint", options.container_runtime_endpoint, "the runtime's unix socket");
  app.add_option("--pod-infra-container-image", options.pod_infra_container_image,
                 "the image that holds a pod's namespaces")
      ->capture_default_str();
  app.add_flag("--manage-containerd", options.manage_containerd, "run a containerd of the node's own");
  app.add_option("--cni-bin-dir", options.cni_bin_dir, "where CNI plug-ins are")->capture_default_str();
  app.add_option("--pod-logs-dir", options.pod_logs_dir, "where containers' logs go")->capture_default_str();
  app.add_option("--cluster-dns", options.cluster_dns, "address of the cluster's DNS server");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Redoubt: Kubernetes in C++ for networks you can't trust"};
  app.require_subcommand(1);
  std::string level = "info";
  app.add_option("--log-level", level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));

  cmd::ServerOptions server_options;
  CLI::App* server = app.add_subcommand("server", "the control plane: API server, controllers, scheduler, store");
  add_server_flags(*server, server_options);
  kubelet::Options agent_options;
  std::string run_dir = "/run/redoubt";
  CLI::App* up = app.add_subcommand("up", "everything for one machine: server and agent");
  add_server_flags(*up, server_options);
  add_agent_flags(*up, agent_options, run_dir);
  CLI::App* agent = app.add_subcommand("agent", "a node: joins a server and runs pods");
  agent->add_option("--data-dir", server_options.data_dir, "where certificates and pods' volumes are kept")
      ->capture_default_str();
  agent->add_option("--server", agent_options.server, "the API server's URL")->required();
  agent->add_option("--token", agent_options.bootstrap_token, "bootstrap token, for the first start");
  agent->add_option("--discovery-token-ca-cert-hash", agent_options.ca_hashes,
                    "sha256:HEX of the cluster's CA, for the first start");
  add_agent_flags(*agent, agent_options, run_dir);
  CLI::App* reset = app.add_subcommand("reset", "remove what a node left: pods, containerd, mounts, interfaces");
  reset->add_option("--data-dir", server_options.data_dir)->capture_default_str();
  reset->add_option("--run-dir", run_dir)->capture_default_str();
  bool keep_data = false;
  reset->add_flag("--keep-data", keep_data, "keep the database, keys and images");
  app.add_subcommand("version", "print the version");
  CLI11_PARSE(app, argc, argv);

  block_signals();
  set_log_level(level == "debug"     ? LogLevel::Debug
                : level == "warning" ? LogLevel::Warning
                : level == "error"   ? LogLevel::Error
                                     : LogLevel::Info);
  if (app.got_subcommand("version")) {
    std::puts("redoubt 0.1.0 (Kubernetes v1.35.4)");
    return 0;
  }
  if (app.got_subcommand("server")) {
    auto started = cmd::Server::start(server_options);
    if (!started) return fail(started.error());
    wait_for_signal();
    (*started)->stop();
    return 0;
  }
  agent_options.root_dir = server_options.data_dir + "/kubelet";
  agent_options.run_dir = run_dir;
  if (app.got_subcommand("reset")) {
    auto done = cmd::reset_machine(agent_options);
    if (!done) return fail(done.error());
    if (!keep_data) {
      std::error_code error;
      std::filesystem::remove_all(server_options.data_dir, error);
    }
    return 0;
  }
  std::unique_ptr<cmd::Server> local;
  if (app.got_subcommand("up")) {
    auto started = cmd::Server::start(server_options);
    if (!started) return fail(started.error());
    local = std::move(*started);
    if (auto ready = cmd::prepare_local_agent(*local, agent_options); !ready) return fail(ready.error());
  }
  if (agent_options.node_ip.empty()) agent_options.node_ip = cmd::default_address();
  if (agent_options.node_name.empty()) {
    char host[256] = "";
    ::gethostname(host, sizeof host - 1);
    agent_options.node_name = host;
  }
  auto node = kubelet::Kubelet::start(agent_options);
  if (!node) return fail(node.error());
  wait_for_signal();
  node->reset();
  if (local) local->stop();
  return 0;
}
