// Flags of the node agent.
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "cmd/flags/flags.h"

namespace redoubt::cmd {

void add_agent_flags(CLI::App& command, kubelet::Options& options, std::string& run_dir) {
  command.add_option("--hostname-override", options.node_name, "the node's name (default: the host's)");
  command.add_option("--node-ip", options.node_ip, "the node's address (default: the default route's)");
  command.add_option("--run-dir", run_dir, "sockets and what need not outlive a reboot")->capture_default_str();
  command.add_option("--kubelet-address", options.address,
                     "address of the kubelet's HTTPS API (default: 127.0.0.1 with a tunnel, else 0.0.0.0)");
  command.add_option("--kubelet-port", options.port, "port of the kubelet's HTTPS API")->capture_default_str();
  command.add_option("--container-runtime-endpoint", options.container_runtime_endpoint, "the runtime's unix socket");
  command
      .add_option("--pod-infra-container-image", options.pod_infra_container_image,
                  "the image that holds a pod's namespaces")
      ->capture_default_str();
  command.add_flag("--manage-containerd", options.manage_containerd, "run a containerd of the node's own");
  command.add_option("--cni-bin-dir", options.cni_bin_dir, "where CNI plug-ins are")->capture_default_str();
  command.add_option("--pod-logs-dir", options.pod_logs_dir, "where containers' logs go")->capture_default_str();
  command
      .add_option("--tunnel", options.tunnel,
                  "keep a reverse tunnel to every API server, so that this node needs no open port")
      ->capture_default_str();
  command
      .add_option("--ssh-host-keys", options.ssh_host_keys,
                  "public keys of this machine's sshd (a pattern), written onto the Node so that an API server that "
                  "reaches nodes by SSH knows them; empty: none")
      ->capture_default_str();
  command.add_option("--cluster-dns", options.cluster_dns,
                     "address of the cluster's DNS server (default: the kube-dns Service's)");
  command.add_option("--cluster-domain", options.cluster_domain, "domain of the cluster's names")
      ->capture_default_str();
  command.add_option("--resolv-conf", options.resolv_conf, "what names outside the cluster are asked by")
      ->capture_default_str();
}

void complete_agent_options(kubelet::Options& options, const std::string& data_dir, const std::string& run_dir) {
  options.root_dir = data_dir + "/kubelet";
  options.run_dir = run_dir;
  if (options.address.empty()) options.address = options.tunnel ? "127.0.0.1" : "0.0.0.0";
  if (options.node_ip.empty()) options.node_ip = default_address();
  if (options.node_name.empty()) {
    char host[256] = "";
    ::gethostname(host, sizeof host - 1);
    options.node_name = host;
    for (char& c : options.node_name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
}

}  // namespace redoubt::cmd
