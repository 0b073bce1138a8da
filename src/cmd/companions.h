// What runs beside the kubelet on a node: the service proxy, DNS, the pod network and network policies.
#pragma once
#include <string>

#include "base/status.h"
#include "kubelet/options.h"
#include "podnetwork/pod_network.h"

namespace CLI {
class App;
}

namespace redoubt::cmd {

struct CompanionOptions {
  std::string cluster_cidr = "10.244.0.0/16";  // where pods' addresses come from
  bool disable_kube_proxy = false;             // another program serves Services here
  bool disable_dns = false;                    // another program serves the cluster's names here
  std::string pod_network = "wireguard";       // what carries pods' packets between nodes
  podnetwork::Options network;                 // as far as flags say
  bool disable_network_policy = false;         // another program enforces NetworkPolicies here
};

// All but --cluster-cidr.
void add_companion_flags(CLI::App& command, CompanionOptions& options);

// Adds them to the kubelet's options, which must be complete.
Result<void> add_companions(const CompanionOptions& options, kubelet::Options& agent);

}  // namespace redoubt::cmd
