#include "networkpolicy/rules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

namespace redoubt::networkpolicy {

namespace ip = boost::asio::ip;

namespace {

constexpr const char* kTable = "redoubt-policy";

bool is_v6(const std::string& text) {
  return text.find(':') != std::string::npos;
}

bool inside(const std::string& address, const std::vector<std::string>& networks) {
  boost::system::error_code error;
  for (const std::string& cidr : networks) {
    if (is_v6(cidr) != is_v6(address)) continue;
    if (is_v6(cidr)) {
      auto network = ip::make_network_v6(cidr, error);
      if (error) continue;
      auto host = ip::make_network_v6(address + "/128", error);
      if (!error && (host.is_subnet_of(network) || host == network)) return true;
    } else {
      auto network = ip::make_network_v4(cidr, error);
      if (error) continue;
      auto host = ip::make_network_v4(address + "/32", error);
      if (!error && (host.is_subnet_of(network) || host == network)) return true;
    }
  }
  return false;
}

std::vector<std::string> of_family(const std::vector<std::string>& all, bool v6) {
  std::vector<std::string> out;
  for (const std::string& item : all) {
    if (is_v6(item) == v6) out.push_back(item);
  }
  return out;
}

// For a comment: what names of objects are made of.
std::string readable(const std::string& name) {
  std::string out;
  for (char c : name.substr(0, 100))
    out += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '/' ? c : '-';
  return out;
}

std::string braces(const std::vector<std::string>& items) {
  return fmt::format("{{ {} }}", fmt::join(items, ", "));
}

// "" stands for every port; else a condition each.
std::vector<std::string> port_conditions(const Rule& rule) {
  if (rule.any_port) return {""};
  std::vector<std::string> out;
  for (const PortRange& range : rule.ports) {
    if (range.first == 0) {
      out.push_back(fmt::format("meta l4proto {} ", range.protocol));
    } else if (range.first == range.last) {
      out.push_back(fmt::format("{} dport {} ", range.protocol, range.first));
    } else {
      out.push_back(fmt::format("{} dport {}-{} ", range.protocol, range.first, range.last));
    }
  }
  return out;
}

class Renderer {
 public:
  explicit Renderer(const std::vector<std::string>& local) : local_(local) {}

  void add(const Policy& policy) {
    std::vector<std::string> mine;
    for (const std::string& pod : policy.pods) {
      if (inside(pod, local_)) mine.push_back(pod);
    }
    if (mine.empty()) return;
    ++number_;
    if (policy.ingress) direct(policy, mine, true);
    if (policy.egress) direct(policy, mine, false);
  }

  std::string take() {
    if (pods_[0].empty() && pods_[1].empty()) return removal_script();
    std::string out =
        removal_script() + fmt::format("table inet {} {{\n  comment \"NetworkPolicies, by redoubt\"\n", kTable);
    out += sets_ + chains_;
    for (bool ingress : {true, false}) {
      for (const auto& [pod, jumps] : pods_[ingress ? 0 : 1])
        out += fmt::format("  chain {} {{\n{}    drop\n  }}\n", pod_chain(pod, ingress), jumps);
    }
    out += base_chain("egress", "forward", "filter - 20", false) +
           base_chain("egress-node", "input", "filter - 20", false) +
           base_chain("ingress", "forward", "filter - 10", true);
    return out + "}\n";
  }

 private:
  static std::string pod_chain(const std::string& pod, bool ingress) {
    std::string name = pod;
    for (char& c : name) c = c == '.' || c == ':' ? '-' : c;
    return fmt::format("{}-{}", ingress ? "to" : "from", name);
  }

  std::string base_chain(const char* name, const char* hook, const char* priority, bool ingress) const {
    std::string out = fmt::format("  chain {} {{\n    type filter hook {} priority {};\n", name, hook, priority);
    out += "    ct state established,related accept\n";
    for (bool v6 : {false, true}) {
      std::vector<std::string> entries;
      for (const auto& [pod, jumps] : pods_[ingress ? 0 : 1]) {
        if (is_v6(pod) == v6) entries.push_back(fmt::format("{} : jump {}", pod, pod_chain(pod, ingress)));
      }
      if (!entries.empty())
        out += fmt::format("    {} {} vmap {}\n", v6 ? "ip6" : "ip", ingress ? "daddr" : "saddr", braces(entries));
    }
    return out + "  }\n";
  }

  void direct(const Policy& policy, const std::vector<std::string>& mine, bool ingress) {
    std::string chain = fmt::format("policy-{}-{}", number_, ingress ? "ingress" : "egress");
    std::string rules;
    for (const Rule& rule : ingress ? policy.ingress_rules : policy.egress_rules) rules += allow(rule, ingress);
    chains_ += fmt::format("  chain {} {{ comment \"{}\"\n{}  }}\n", chain, readable(policy.name), rules);
    for (const std::string& pod : mine) pods_[ingress ? 0 : 1][pod] += fmt::format("    jump {}\n", chain);
  }

  std::string allow(const Rule& rule, bool ingress) {
    std::vector<std::string> ports = port_conditions(rule);
    const char* side = ingress ? "saddr" : "daddr";
    // A rule is of one family, or of either.
    enum class Of : uint8_t { Either, V4, V6 };
    std::vector<std::pair<Of, std::string>> peers, targets;
    std::string out;
    if (rule.everybody) peers.emplace_back(Of::Either, "");
    if (rule.targets.empty()) targets.emplace_back(Of::Either, "");
    for (bool v6 : {false, true}) {
      const char* family = v6 ? "ip6" : "ip";
      Of of = v6 ? Of::V6 : Of::V4;
      std::vector<std::string> addresses = of_family(rule.addresses, v6);
      if (!addresses.empty()) {
        std::string set = fmt::format("peers-{}", ++set_);
        sets_ += fmt::format("  set {} {{ type {}; elements = {}; }}\n", set, v6 ? "ipv6_addr" : "ipv4_addr",
                             braces(addresses));
        peers.emplace_back(of, fmt::format("{} {} @{} ", family, side, set));
      }
      for (const Block& block : rule.blocks) {
        if (is_v6(block.cidr) != v6) continue;
        std::string peer = fmt::format("{} {} {} ", family, side, block.cidr);
        for (const std::string& part : of_family(block.except, v6))
          peer += fmt::format("{} {} != {} ", family, side, part);
        peers.emplace_back(of, peer);
      }
      if (auto mine = of_family(rule.targets, v6); !mine.empty())
        targets.emplace_back(of, fmt::format("{} daddr {} ", family, braces(mine)));
    }
    for (const auto& [target_of, target] : targets) {
      for (const auto& [peer_of, peer] : peers) {
        if (target_of != Of::Either && peer_of != Of::Either && target_of != peer_of) continue;
        for (const std::string& port : ports) out += fmt::format("    {}{}{}accept\n", target, peer, port);
      }
    }
    return out;
  }

  const std::vector<std::string>& local_;
  size_t number_ = 0, set_ = 0;
  std::string sets_, chains_;
  std::map<std::string, std::string> pods_[2];  // ingress, egress: pod -> jumps
};

}  // namespace

std::string removal_script() {
  return fmt::format("add table inet {0}\ndelete table inet {0}\n", kTable);
}

std::string table_script(const std::vector<Policy>& policies, const std::vector<std::string>& local) {
  Renderer renderer(local);
  for (const Policy& policy : policies) renderer.add(policy);
  return renderer.take();
}

}  // namespace redoubt::networkpolicy
