// From Nodes to the peers of this node's pod network.
//
// A Node says by annotations (which NodeRestriction lets only itself write) what its key is and where it is reached;
// its podCIDRs are the control plane's to give. What does not fit is left out, with a reason for the log. Pure; any
// thread.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "schema/k8s/core_v1.h"

namespace redoubt::podnetwork {

inline constexpr const char* kKeyAnnotation = "redoubt.dev/wireguard-public-key";
// "ADDRESS:PORT", or "nat" where nobody can reach the node unless it has begun.
inline constexpr const char* kEndpointAnnotation = "redoubt.dev/wireguard-endpoint";

struct Peer {
  std::string node;
  std::string address;                 // InternalIP
  std::vector<std::string> pod_cidrs;  // what it may send from, and is sent
  std::string public_key;              // base64; "" while it has published none
  std::string endpoint;                // "" when only it can begin
  bool operator==(const Peer&) const = default;
};

struct Plan {
  std::vector<std::string> own_cidrs;
  std::vector<Peer> peers;            // the oldest Nodes first
  std::vector<std::string> left_out;  // "node: why"
  bool operator==(const Plan&) const = default;
};

// `own`: this node's name. `cluster_cidrs`: podCIDRs outside them, and such as overlap an earlier node's, are left out:
// no node can draw another's traffic.
Plan make_plan(const std::vector<const k8s::core::v1::Node*>& nodes, const std::string& own,
               const std::vector<std::string>& cluster_cidrs);

// What `wg syncconf` reads: only peers that have a key. Holds the private key: a file for it is 0600.
std::string wireguard_config(const Plan& plan, const std::string& private_key, uint16_t port,
                             std::chrono::seconds keepalive);

// Whether a node with this address, and this API server, is likely behind NAT: it is on a private network, the server
// isn't.
bool likely_behind_nat(const std::string& node_ip, const std::string& server_host);

}  // namespace redoubt::podnetwork
