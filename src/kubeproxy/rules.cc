#include "kubeproxy/rules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace redoubt::kubeproxy {

namespace {

// Names stay below nftables' 128 characters and tell a person whose they are; the hash keeps them apart.
constexpr size_t kReadableChars = 80;

std::string hash_of(std::string_view text) {
  uint64_t h = 14695981039346656037ULL;
  for (char c : text) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return fmt::format("{:012x}", h & 0xffffffffffffULL);
}

std::string id_of(const ServicePort& p) {
  std::string text =
      fmt::format("{}/{}/{}", p.service, p.protocol, p.port_name.empty() ? std::to_string(p.port) : p.port_name);
  // Two of a Service's ports may share a name's length but never all of this.
  std::string hash = hash_of(fmt::format("{}#{}#{}", text, p.port, p.cluster_ip));
  std::string readable = text.substr(0, kReadableChars);
  for (char& c : readable) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '/') c = '_';
  }
  return hash + "-" + readable;
}

std::string target(const Destination& d, Family family) {
  return family == Family::IPv4 ? fmt::format("{}:{}", d.ip, d.port) : fmt::format("[{}]:{}", d.ip, d.port);
}

class Renderer {
 public:
  Renderer(Family family, const RuleOptions& options)
      : family_(family), options_(options), ip_(family == Family::IPv4 ? "ip" : "ip6") {}

  void add(const ServicePort& p) {
    id_ = id_of(p);
    internal(p);
    std::string external = external_entry(p);
    auto outside = [&](const std::string& address, const std::string& verdict) {
      element("service-ips", key(address, p), verdict);
    };
    for (const std::string& address : p.external_ips) enter(p, address, external);
    for (const std::string& address : p.load_balancers) {
      if (p.source_ranges.empty()) {
        enter(p, address, external);
      } else {
        std::string gate = "firewall-" + id_;
        std::string rules;
        for (const std::string& range : p.source_ranges) {
          if (!external.empty()) rules += fmt::format("{} saddr {} goto {}\n", ip_, range, external);
        }
        // Who isn't named is dropped in the filter hooks; here it just isn't translated.
        out_.chains[gate] = rules;
        outside(address, "goto " + gate);
        element("firewall-ips", key(address, p), "goto firewall-check-" + id_);
        std::string check;
        for (const std::string& range : p.source_ranges) check += fmt::format("{} saddr {} return\n", ip_, range);
        out_.chains["firewall-check-" + id_] = check + "drop\n";
      }
    }
    if (p.node_port != 0) {
      std::string port_key = fmt::format("{} . {}", p.protocol, p.node_port);
      if (!external.empty()) {
        element("service-nodeports", port_key, "goto " + external);
      } else {
        element("no-endpoint-nodeports", port_key, refusal(p));
      }
    }
    for (const auto* list : {&p.cluster, &p.local}) {
      for (const Destination& d : *list) {
        if (d.local) element("hairpin", fmt::format("{} . {}", d.ip, d.ip), "");
      }
    }
  }
  Fragment take() { return std::move(out_); }

 private:
  std::string key(const std::string& address, const ServicePort& p) const {
    return fmt::format("{} . {} . {}", address, p.protocol, p.port);
  }
  void element(const std::string& map, const std::string& key, const std::string& data) {
    out_.elements[map].emplace(key, data);
  }
  // Where policy alone leaves nobody (Local), packets vanish, so that a balancer tries another node; where there is no
  // endpoint at all, the sender is told.
  static std::string refusal(const ServicePort& p) { return p.any_endpoint ? "drop" : "goto reject-chain"; }
  void enter(const ServicePort& p, const std::string& address, const std::string& external) {
    if (!external.empty()) {
      element("service-ips", key(address, p), "goto " + external);
    } else {
      element("no-endpoint-services", key(address, p), refusal(p));
    }
  }

  std::string from_cluster() const {
    std::vector<std::string> mine;
    for (const std::string& cidr : options_.cluster_cidrs) {
      if (family_of(cidr) == family_) mine.push_back(cidr);
    }
    return mine.empty() ? "" : fmt::format("{} saddr {{ {} }}", ip_, fmt::join(mine, ", "));
  }
  std::string not_from_cluster() const {
    std::string from = from_cluster();
    return from.empty() ? "" : fmt::format("{} saddr != {}", ip_, from.substr(from.find('{')));
  }

  // The Service's own address.
  void internal(const ServicePort& p) {
    element("cluster-ips", p.cluster_ip, "");
    const auto& chosen = p.internal_local ? p.local : p.cluster;
    if (chosen.empty()) {
      element("no-endpoint-services", key(p.cluster_ip, p), refusal(p));
      return;
    }
    std::string to = choice(p, p.internal_local ? "local-" : "cluster-", chosen);
    std::string entry = "service-" + id_;
    std::string rules;
    if (options_.masquerade_all) {
      rules = "jump mark-for-masquerade\n";
    } else if (std::string outside = not_from_cluster(); !outside.empty()) {
      rules = outside + " jump mark-for-masquerade\n";
    }
    out_.chains[entry] = rules + "goto " + to + "\n";
    element("service-ips", key(p.cluster_ip, p), "goto " + entry);
  }

  // The chain for what comes from outside (node ports, external and balancers' addresses); "" when nobody is there for
  // it.
  std::string external_entry(const ServicePort& p) {
    if (p.node_port == 0 && p.external_ips.empty() && p.load_balancers.empty()) return "";
    std::string entry = "external-" + id_;
    if (!p.external_local) {
      if (p.cluster.empty()) return "";
      out_.chains[entry] = "jump mark-for-masquerade\ngoto " + choice(p, "cluster-", p.cluster) + "\n";
      return entry;
    }
    std::string rules;
    if (!p.cluster.empty()) {
      // Pods and the node itself are inside: the policy is about traffic from outside.
      std::string any = choice(p, "cluster-", p.cluster);
      if (std::string inside = from_cluster(); !inside.empty()) rules += fmt::format("{} goto {}\n", inside, any);
      rules += fmt::format("fib saddr type local jump mark-for-masquerade\nfib saddr type local goto {}\n", any);
    }
    if (!p.local.empty()) {
      rules += "goto " + choice(p, "local-", p.local) + "\n";
    } else if (rules.empty()) {
      return "";
    } else {
      rules += "drop\n";
    }
    out_.chains[entry] = rules;
    return entry;
  }

  // The chain that picks one of `chosen`.
  std::string choice(const ServicePort& p, std::string_view prefix, const std::vector<Destination>& chosen) {
    std::string chain = std::string(prefix) + id_;
    if (out_.chains.contains(chain)) return chain;
    std::string rules;
    if (p.affinity_seconds == 0) {
      if (chosen.size() == 1) {
        rules = fmt::format("meta l4proto {} dnat to {}\n", p.protocol, target(chosen[0], family_));
      } else {
        std::vector<std::string> items;
        for (size_t i = 0; i < chosen.size(); ++i)
          items.push_back(fmt::format("{} : {} . {}", i, chosen[i].ip, chosen[i].port));
        rules = fmt::format("meta l4proto {} dnat {} to numgen random mod {} map {{ {} }}\n", p.protocol, ip_,
                            chosen.size(), fmt::join(items, ", "));
      }
    } else {
      // A client comes back to the endpoint that last had it, as long as it is not silent for too long.
      std::vector<std::string> items;
      for (size_t i = 0; i < chosen.size(); ++i) {
        std::string name = hash_of(fmt::format("{}#{}", id_, target(chosen[i], family_))) + "-" + id_.substr(0, 12);
        std::string set = "affinity-" + name, endpoint = "endpoint-" + name;
        out_.sets[set] = fmt::format("{{ type {}; flags dynamic,timeout; timeout {}s; }}",
                                     family_ == Family::IPv4 ? "ipv4_addr" : "ipv6_addr", p.affinity_seconds);
        out_.chains[endpoint] = fmt::format("update @{} {{ {} saddr }}\nmeta l4proto {} dnat to {}\n", set, ip_,
                                            p.protocol, target(chosen[i], family_));
        rules += fmt::format("{} saddr @{} goto {}\n", ip_, set, endpoint);
        items.push_back(fmt::format("{} : goto {}", i, endpoint));
      }
      rules += fmt::format("numgen random mod {} vmap {{ {} }}\n", chosen.size(), fmt::join(items, ", "));
    }
    out_.chains[chain] = rules;
    return chain;
  }

  Family family_;
  const RuleOptions& options_;
  std::string ip_;
  std::string id_;
  Fragment out_;
};

void each_line(std::string_view text, auto&& use) {
  while (!text.empty()) {
    size_t end = text.find('\n');
    use(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
}

}  // namespace

Fragment render(const std::vector<ServicePort>& ports, Family family, const RuleOptions& options) {
  Renderer renderer(family, options);
  for (const ServicePort& p : ports) {
    if (p.family == family) renderer.add(p);
  }
  return renderer.take();
}

std::string Transaction::line(std::string_view command, std::string_view object, std::string_view name,
                              std::string_view rest) const {
  return fmt::format("{} {} {} {} {}{}{}\n", command, object, family_, kTable, name, rest.empty() ? "" : " ", rest);
}

void Transaction::change(const Fragment& from, const Fragment& to) {
  for (const auto& [name, declaration] : to.sets) {
    auto old = from.sets.find(name);
    if (old == from.sets.end()) {
      declare_ += line("add", "set", name, declaration);
    } else if (old->second != declaration) {
      // Another timeout: a set can't be changed in place. Its users are filled anew in the same transaction.
      for (const auto& [chain, rules] : from.chains) {
        if (rules.find("@" + name + " ") != std::string::npos) empty_chains_ += line("flush", "chain", chain);
      }
      empty_chains_ += line("delete", "set", name);
      empty_chains_ += line("add", "set", name, declaration);
      for (const auto& [chain, rules] : to.chains) {
        if (rules.find("@" + name + " ") == std::string::npos) continue;
        each_line(rules, [&](std::string_view rule) { fill_ += line("add", "rule", chain, rule); });
      }
    }
  }
  for (const auto& [name, rules] : to.chains) {
    auto old = from.chains.find(name);
    if (old != from.chains.end() && old->second == rules) continue;
    declare_ += line("add", "chain", name);
    if (old != from.chains.end()) declare_ += line("flush", "chain", name);
    each_line(rules, [&](std::string_view rule) { fill_ += line("add", "rule", name, rule); });
  }
  static const std::map<std::string, std::string> kNone;
  auto of = [](const Fragment& f, const std::string& map) -> const std::map<std::string, std::string>& {
    auto it = f.elements.find(map);
    return it == f.elements.end() ? kNone : it->second;
  };
  for (const auto& [map, elements] : from.elements) {
    for (const auto& [key, data] : elements) {
      auto now = of(to, map).find(key);
      if (now == of(to, map).end() || now->second != data)
        drop_elements_ += line("delete", "element", map, fmt::format("{{ {} }}", key));
    }
  }
  for (const auto& [map, elements] : to.elements) {
    for (const auto& [key, data] : elements) {
      auto before = of(from, map).find(key);
      if (before != of(from, map).end() && before->second == data) continue;
      add_elements_ += line("add", "element", map,
                            data.empty() ? fmt::format("{{ {} }}", key) : fmt::format("{{ {} : {} }}", key, data));
    }
  }
  std::string flush_gone, delete_gone;
  for (const auto& [name, rules] : from.chains) {
    if (to.chains.contains(name)) continue;
    flush_gone += line("flush", "chain", name);
    delete_gone += line("delete", "chain", name);
  }
  // Emptied first: they may refer to each other.
  drop_ = flush_gone + drop_ + delete_gone;
  for (const auto& [name, declaration] : from.sets) {
    if (!to.sets.contains(name)) drop_ += line("delete", "set", name);
  }
}

bool Transaction::empty() const {
  return declare_.empty() && fill_.empty() && drop_elements_.empty() && add_elements_.empty() && drop_.empty() &&
         empty_chains_.empty();
}

std::string Transaction::script() const {
  return declare_ + empty_chains_ + fill_ + drop_elements_ + add_elements_ + drop_;
}

std::string table_script(Family family, const RuleOptions& options) {
  std::string ip = family == Family::IPv4 ? "ip" : "ip6";
  std::string address = family == Family::IPv4 ? "ipv4_addr" : "ipv6_addr";
  std::string reject =
      family == Family::IPv4 ? "reject with icmp port-unreachable" : "reject with icmpv6 port-unreachable";
  std::vector<std::string> node_addresses;
  for (const std::string& a : options.node_port_addresses) {
    if (family_of(a) == family) node_addresses.push_back(a);
  }
  std::string elements =
      node_addresses.empty() ? "" : fmt::format("elements = {{ {} }}", fmt::join(node_addresses, ", "));
  std::string mark = fmt::format("{:#x}", options.masquerade_mark);
  // "add" first, so that "delete" never fails; all of it is one transaction.
  return fmt::format(R"(add table {0} {1}
delete table {0} {1}
table {0} {1} {{
  comment "Services, by redoubt"
  set generation {{ type mark; }}
  set cluster-ips {{ type {2}; }}
  set nodeport-ips {{ type {2}; {3} }}
  set hairpin {{ type {2} . {2}; }}
  map service-ips {{ type {2} . inet_proto . inet_service : verdict; }}
  map service-nodeports {{ type inet_proto . inet_service : verdict; }}
  map no-endpoint-services {{ type {2} . inet_proto . inet_service : verdict; }}
  map no-endpoint-nodeports {{ type inet_proto . inet_service : verdict; }}
  map firewall-ips {{ type {2} . inet_proto . inet_service : verdict; }}
  chain reject-chain {{ {5}; }}
  chain mark-for-masquerade {{ meta mark set meta mark | {4}; }}
  chain services {{
    {0} daddr . meta l4proto . th dport vmap @service-ips
    {0} daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
  }}
  chain checks {{
    {0} daddr . meta l4proto . th dport vmap @no-endpoint-services
    {0} daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports
    {0} daddr @cluster-ips {5}
  }}
  chain firewall {{ type filter hook prerouting priority -110; ct state new {0} daddr . meta l4proto . th dport vmap @firewall-ips; }}
  chain nat-prerouting {{ type nat hook prerouting priority dstnat; jump services; }}
  chain nat-output {{ type nat hook output priority -100; jump services; }}
  chain nat-postrouting {{
    type nat hook postrouting priority srcnat;
    {0} saddr . {0} daddr @hairpin masquerade
    meta mark & {4} == 0 return
    meta mark set meta mark ^ {4}
    masquerade fully-random
  }}
  chain filter-input {{ type filter hook input priority filter; ct state new jump checks; }}
  chain filter-forward {{ type filter hook forward priority filter; ct state new jump checks; }}
  chain filter-output {{ type filter hook output priority filter; ct state new jump checks; }}
}}
)",
                     ip, kTable, address, elements, mark, reject);
}

std::string removal_script(Family family) {
  std::string ip = family == Family::IPv4 ? "ip" : "ip6";
  return fmt::format("add table {0} {1}\ndelete table {0} {1}\n", ip, kTable);
}

std::string generation_script(Family family, uint32_t before, uint32_t generation) {
  std::string ip = family == Family::IPv4 ? "ip" : "ip6";
  std::string out;
  if (before != 0) out += fmt::format("delete element {} {} generation {{ {:#x} }}\n", ip, kTable, before);
  return out + fmt::format("add element {} {} generation {{ {:#x} }}\n", ip, kTable, generation);
}

}  // namespace redoubt::kubeproxy
