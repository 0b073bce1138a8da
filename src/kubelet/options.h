// What a kubelet is told, under upstream's names where the meaning is the same.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/task.h"
#include "net/resolv_conf.h"

namespace redoubt::client {
class Client;
}
namespace redoubt::net {
class LoopPool;
}

namespace redoubt::kubelet {

// Something that runs beside the kubelet with the node's own client, on its loop, until the kubelet stops.
using Companion = std::function<Task<void>(client::Client& api, net::LoopPool& loops)>;

struct Options {
  std::string node_name;                              // --hostname-override; default: the host's name
  std::string node_ip;                                // --node-ip
  std::string root_dir = "/var/lib/redoubt/kubelet";  // pods' volumes, certificates
  std::string run_dir = "/run/redoubt";
  std::string pod_logs_dir = "/var/log/pods";
  // --kubelet-address. With the tunnel on, nothing outside the machine has to reach it.
  std::string address;  // default: 127.0.0.1 with the tunnel, else all
  bool tunnel = true;   // --tunnel: reverse tunnels to the API servers
  uint16_t port = 10250;
  // --ssh-host-keys: public keys of this machine's sshd, published on the Node for API servers that come by SSH.
  std::string ssh_host_keys = "/etc/ssh/ssh_host_*_key.pub";
  std::string container_runtime_endpoint;  // unix socket path
  std::string pod_infra_container_image = "registry.k8s.io/pause:3.10";
  bool manage_containerd = false;  // start a containerd of its own under run_dir and root_dir
  bool manage_network = true;      // write a CNI configuration from the node's podCIDR
  int pod_mtu = 0;                 // of pods' interfaces; 0: the machine's
  std::string cni_bin_dir = "/usr/lib/cni";
  std::string cluster_domain = "cluster.local";
  std::string cluster_dns;  // --cluster-dns; default: Service kube-system/kube-dns' address, when there is one
  std::string resolv_conf = "/etc/resolv.conf";  // --resolv-conf: the machine's own DNS
  net::ResolvConf node_dns;                      // what that file says
  // How to reach the API server, and how to be let in the first time.
  std::string server;  // "https://10.0.0.1:6443"
  std::string bootstrap_token;
  std::vector<std::string> ca_hashes;  // "sha256:..."
  std::string ca_file;                 // instead of, or besides, the hashes: the authority itself
  std::string bootstrap_kubeconfig;    // --bootstrap-kubeconfig: instead of server, token and hashes
  std::string kubeconfig;              // --kubeconfig: where the joined node's is kept; default: ROOT_DIR/kubeconfig
  std::string service_host;            // the `kubernetes` Service's virtual address, for containers' environment
  std::vector<Companion> companions;
};

}  // namespace redoubt::kubelet
