#include "podnetwork/masquerade.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "nft/nft.h"

namespace redoubt::podnetwork {

namespace {

std::vector<std::string> of_family(const std::vector<std::string>& all, bool v6) {
  std::vector<std::string> out;
  for (const std::string& item : all) {
    if ((item.find(':') != std::string::npos) == v6) out.push_back(item);
  }
  return out;
}

}  // namespace

std::string masquerade_script(const std::vector<std::string>& own_cidrs,
                              const std::vector<std::string>& cluster_cidrs) {
  std::string out;
  for (bool v6 : {false, true}) {
    const char* family = v6 ? "ip6" : "ip";
    auto own = of_family(own_cidrs, v6), cluster = of_family(cluster_cidrs, v6);
    out += fmt::format("add table {0} redoubt-podnet\ndelete table {0} redoubt-podnet\n", family);
    if (own.empty()) continue;
    // Multicast stays as it is: its routers go by the sender.
    cluster.emplace_back(v6 ? "ff00::/8" : "224.0.0.0/4");
    out += fmt::format(R"(table {0} redoubt-podnet {{
  comment "Pods' way out of the cluster, by redoubt"
  chain postrouting {{
    type nat hook postrouting priority srcnat + 5;
    {0} saddr {{ {1} }} {0} daddr != {{ {2} }} masquerade fully-random
  }}
}}
)",
                       family, fmt::join(own, ", "), fmt::join(cluster, ", "));
  }
  return out;
}

bool masquerade_in_place(const std::vector<std::string>& own_cidrs) {
  for (bool v6 : {false, true}) {
    if (of_family(own_cidrs, v6).empty()) continue;
    auto rules = nft::print(fmt::format("list table {} redoubt-podnet", v6 ? "ip6" : "ip"));
    if (!rules || rules->find("masquerade") == std::string::npos) return false;
  }
  return true;
}

Result<void> remove_masquerade() {
  return nft::apply(masquerade_script({}, {}));
}

}  // namespace redoubt::podnetwork
