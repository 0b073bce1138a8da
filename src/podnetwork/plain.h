// Pods' packets between nodes as they are, for networks that are trusted or encrypted by somebody else: by VXLAN, or by
// routes where all nodes share a link.
//
// Blocking; needs CAP_NET_ADMIN; program: ip, bridge. IPv4.
#pragma once
#include <set>
#include <string>

#include "base/status.h"
#include "podnetwork/plan.h"

namespace redoubt::podnetwork {

// The commands of `ip -batch` (and, for VXLAN, `bridge -batch`) that lead to each peer. Pure.
struct PlainCommands {
  std::set<std::string> ip;      // each idempotent ("route replace ...")
  std::set<std::string> bridge;  // "fdb replace ..."
};
PlainCommands vxlan_commands(const Plan& plan, const std::string& interface);
PlainCommands route_commands(const Plan& plan);
// A peer's Ethernet address inside the VXLAN, made from its podCIDR, so that nobody has to publish one.
std::string vxlan_mac(const std::string& pod_cidr);

// Makes the VXLAN interface when there is none.
Result<void> ensure_vxlan(const std::string& interface, const Plan& plan, const std::string& node_ip, int mtu);
// Brings in what is in `now`, takes away routes of `before` that are not. `folder` holds the batch files.
Result<void> apply_plain(const PlainCommands& before, const PlainCommands& now, const std::string& folder);

}  // namespace redoubt::podnetwork
