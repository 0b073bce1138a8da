// Flags of what runs beside the kubelet.
#include "cmd/companions.h"

#include <CLI/CLI.hpp>

#include "cmd/flags/flags.h"

namespace redoubt::cmd {

void add_companion_flags(CLI::App& command, CompanionOptions& options) {
  command.add_flag("--disable-kube-proxy", options.disable_kube_proxy, "another program serves Services on this node");
  command.add_flag("--disable-dns", options.disable_dns, "another program serves the cluster's names on this node");
  command
      .add_option("--pod-network", options.pod_network,
                  "what carries pods' packets between nodes: wireguard, or in the clear vxlan or routes, or none: an "
                  "administrator's CNI plug-in")
      ->capture_default_str();
  command.add_flag("--disable-network-policy", options.disable_network_policy,
                   "another program enforces NetworkPolicies on this node");
  command.add_option("--wireguard-port", options.network.port, "UDP port of WireGuard")->capture_default_str();
  command.add_option("--wireguard-endpoint", options.network.endpoint,
                     "ADDRESS:PORT that other nodes reach this one's WireGuard by (default: the node's address)");
  command.add_flag(
      "--wireguard-behind-nat", options.network.behind_nat,
      "other nodes can't begin: this one keeps the way open (found out by itself where the node's address is "
      "private and the server's is not)");
  add_duration(command, "--wireguard-key-lifetime", options.network.key_lifetime,
               "how long the node's WireGuard key is used");
}

}  // namespace redoubt::cmd
