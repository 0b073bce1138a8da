// A NetworkPolicy whose selectors are resolved to addresses: what the control plane tells nodes.
//
// https://kubernetes.io/docs/concepts/services-networking/network-policies/. Pure; any thread.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace redoubt::networkpolicy {

// Where the control plane puts them: a ConfigMap a policy, network-policy-UID, in the namespace of what is between it
// and the nodes.
inline constexpr std::string_view kNamespace = "kube-node-lease";
inline constexpr std::string_view kLabel = "redoubt.dev/network-policy";
inline constexpr std::string_view kNamePrefix = "network-policy-";
inline constexpr std::string_view kDataKey = "policy.json";

struct PortRange {
  std::string protocol;  // "tcp", "udp", "sctp"
  uint16_t first = 0;    // 0: every port of the protocol
  uint16_t last = 0;
  auto operator<=>(const PortRange&) const = default;
};
struct Block {
  std::string cidr;
  std::vector<std::string> except;
  auto operator<=>(const Block&) const = default;
};

// One allowance. Matches when peer and port do.
struct Rule {
  bool everybody = false;              // no peer was named
  std::vector<std::string> addresses;  // peers that are pods, sorted
  std::vector<Block> blocks;
  bool any_port = false;
  std::vector<PortRange> ports;
  // Ingress by a port's name: the number holds for these of the selected pods only. Empty: for all.
  std::vector<std::string> targets;
  auto operator<=>(const Rule&) const = default;
};

struct Policy {
  std::string name;                      // "namespace/name"
  std::vector<std::string> pods;         // addresses of the selected, sorted
  bool ingress = false, egress = false;  // what it restricts
  std::vector<Rule> ingress_rules, egress_rules;
  auto operator<=>(const Policy&) const = default;
};

std::string to_json(const Policy& policy);
// BadRequest for what to_json() can't have written: every address and network is looked at, since they become rules.
Result<Policy> parse_policy(std::string_view json);

}  // namespace redoubt::networkpolicy
