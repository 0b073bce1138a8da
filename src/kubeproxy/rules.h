// Service ports as nftables objects, and the commands that turn what is there into what should be.
//
// One table a family ("redoubt-proxy" in ip and ip6). Addresses are keys of maps whose data are verdicts, so that
// neither a packet nor a change costs more with more Services. A Transaction gathers the differences of many Services
// and is applied whole or not at all. Pure; any thread. Syntax: nft(8).
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "kubeproxy/service_ports.h"

namespace redoubt::kubeproxy {

inline constexpr std::string_view kTable = "redoubt-proxy";

struct RuleOptions {
  // Where pods' addresses come from; traffic to a Service's address from elsewhere gets the node's address. Empty:
  // nothing is masqueraded by its source.
  std::vector<std::string> cluster_cidrs;
  bool masquerade_all = false;
  uint32_t masquerade_mark = 1U << 14;  // upstream's --iptables-masquerade-bit 14
  // The node's addresses that node ports are open on.
  std::vector<std::string> node_port_addresses;
};

// What one Service needs in one family's table. Compared member by member to find what changed.
struct Fragment {
  std::map<std::string, std::string> chains;                           // name -> rules, a line each
  std::map<std::string, std::string> sets;                             // name -> declaration (affinity)
  std::map<std::string, std::map<std::string, std::string>> elements;  // map or set -> key -> data ("" in a set)
  bool operator==(const Fragment&) const = default;
};

Fragment render(const std::vector<ServicePort>& ports, Family family, const RuleOptions& options);

// The commands for one family's table, gathered from differences.
class Transaction {
 public:
  explicit Transaction(Family family) : family_(family == Family::IPv4 ? "ip" : "ip6") {}
  void change(const Fragment& from, const Fragment& to);
  bool empty() const;
  // In an order that nft takes: declare, fill chains, drop elements, add elements, drop chains.
  std::string script() const;

 private:
  std::string line(std::string_view command, std::string_view object, std::string_view name,
                   std::string_view rest = {}) const;
  std::string family_;
  std::string declare_, fill_, drop_elements_, add_elements_, empty_chains_, drop_;
};

// The table itself with its hooks and empty maps; replaces one that is there, in the same transaction as what follows.
// Established connections are not touched by that: the kernel tracks them apart from rules.
std::string table_script(Family family, const RuleOptions& options);
// Removes the table, if there is one.
std::string removal_script(Family family);
// Puts `generation` into the table's marker, by which one sees that the table is still as it was left.
std::string generation_script(Family family, uint32_t before, uint32_t generation);

}  // namespace redoubt::kubeproxy
