#include "dns/cluster_records.h"

#include <fmt/format.h>

#include "base/random.h"
#include "dns/address.h"
#include "dns/limits.h"

namespace redoubt::dns {

namespace core = k8s::core::v1;
namespace discovery = k8s::discovery::v1;

namespace {

constexpr std::string_view kServiceLabel = "kubernetes.io/service-name";
constexpr std::string_view kSchemaVersion = "1.1.0";

bool wants(Type asked, Type type) {
  return asked == type || asked == Type::ANY;
}

// What of these addresses the question is about, a record each.
std::vector<Record> address_records(const std::vector<std::string>& addresses, Type asked, const std::string& owner) {
  std::vector<Record> out;
  for (const std::string& address : addresses) {
    Type type = is_ipv6(address) ? Type::AAAA : Type::A;
    if (wants(asked, type)) out.push_back({.owner = owner, .type = type, .ttl = kClusterTtl, .data = address});
  }
  return out;
}

// Clients mostly take the first: let it be another one each time.
void turn(std::vector<Record>& records) {
  if (records.size() > 1)
    std::rotate(records.begin(), records.begin() + static_cast<ptrdiff_t>(random_below(records.size())), records.end());
}

std::string made_hostname(const std::string& address) {
  std::string out = address;
  for (char& c : out) c = c == '.' || c == ':' ? '-' : c;
  return out;
}

std::string service_name(const discovery::EndpointSlice& slice) {
  auto it = slice.metadata.labels.find(std::string(kServiceLabel));
  return it == slice.metadata.labels.end() ? "" : it->second;
}

std::string protocol_label(std::string_view protocol) {
  return protocol.empty() ? "_tcp" : "_" + lower(protocol);
}

}  // namespace

ClusterRecords::ClusterRecords(std::string domain, std::vector<std::string> pod_cidrs)
    : domain_(join_name(split_name(domain))), domain_labels_(split_name(domain_)), pod_cidrs_(std::move(pod_cidrs)) {}

ClusterRecords::Entry& ClusterRecords::entry(const std::string& ns, const std::string& name) {
  ++serial_;
  return namespaces_[ns][name];
}

void ClusterRecords::drop_if_empty(const std::string& ns, const std::string& name) {
  auto space = namespaces_.find(ns);
  if (space == namespaces_.end()) return;
  auto it = space->second.find(name);
  if (it != space->second.end() && !it->second.service && it->second.slices.empty()) space->second.erase(it);
  if (space->second.empty()) namespaces_.erase(space);
}

void ClusterRecords::index(const std::string& ns, const std::string& name, Entry& entry) {
  for (const auto& [address, target] : entry.reverse) {
    auto it = reverse_.find(address);
    if (it == reverse_.end()) continue;
    it->second.erase(target);
    if (it->second.empty()) reverse_.erase(it);
  }
  entry.reverse.clear();
  if (!entry.service) return;
  std::string full = fmt::format("{}.{}.svc.{}", name, ns, domain_);
  for (const std::string& address : entry.cluster_ips) entry.reverse.emplace_back(address, full);
  if (entry.headless) {
    for (const auto& [key, slice] : entry.slices) {
      for (const Endpoint& endpoint : slice.endpoints) {
        for (const std::string& address : endpoint.addresses)
          entry.reverse.emplace_back(address, endpoint.hostname + "." + full);
      }
    }
  }
  for (const auto& [address, target] : entry.reverse) reverse_[address].insert(target);
}

void ClusterRecords::set_service(const core::Service& service) {
  std::lock_guard lock(mutex_);
  const std::string &ns = service.metadata.namespace_, &name = service.metadata.name;
  Entry& e = entry(ns, name);
  e.service = true;
  e.external_name = service.spec.type == "ExternalName" ? join_name(split_name(service.spec.externalName)) : "";
  e.headless = service.spec.clusterIP == "None";
  e.cluster_ips.clear();
  if (e.external_name.empty() && !e.headless) {
    std::vector<std::string> ips = service.spec.clusterIPs;
    if (ips.empty() && !service.spec.clusterIP.empty()) ips.push_back(service.spec.clusterIP);
    for (const std::string& ip : ips) {
      if (auto address = canonical_address(ip)) e.cluster_ips.push_back(*address);
    }
  }
  e.ports.clear();
  for (const auto& port : service.spec.ports)
    e.ports.push_back({lower(port.name), protocol_label(port.protocol), static_cast<uint16_t>(port.port)});
  index(ns, name, e);
}

void ClusterRecords::remove_service(const std::string& ns, const std::string& name) {
  std::lock_guard lock(mutex_);
  Entry& e = entry(ns, name);
  auto slices = std::move(e.slices);
  std::vector<std::pair<std::string, std::string>> reverse = std::move(e.reverse);
  e = Entry{};
  e.slices = std::move(slices);
  e.reverse = std::move(reverse);
  index(ns, name, e);
  drop_if_empty(ns, name);
}

void ClusterRecords::set_slice(const discovery::EndpointSlice& slice) {
  std::string name = service_name(slice);
  if (name.empty()) return;
  Slice now;
  for (const auto& endpoint : slice.endpoints) {
    if (!endpoint.conditions.ready.value_or(true) || slice.addressType == "FQDN") continue;
    Endpoint out;
    for (const std::string& ip : endpoint.addresses) {
      if (auto address = canonical_address(ip)) out.addresses.push_back(*address);
    }
    if (out.addresses.empty()) continue;
    out.hostname = endpoint.hostname ? lower(*endpoint.hostname) : "";
    if (out.hostname.empty()) out.hostname = made_hostname(out.addresses.front());
    now.endpoints.push_back(std::move(out));
  }
  for (const auto& port : slice.ports)
    now.ports.push_back({lower(port.name.value_or("")), protocol_label(port.protocol.value_or("TCP")),
                         static_cast<uint16_t>(port.port.value_or(0))});
  std::lock_guard lock(mutex_);
  const std::string& ns = slice.metadata.namespace_;
  Entry& e = entry(ns, name);
  e.slices[slice.metadata.name] = std::move(now);
  index(ns, name, e);
}

void ClusterRecords::remove_slice(const discovery::EndpointSlice& slice) {
  std::string name = service_name(slice);
  if (name.empty()) return;
  std::lock_guard lock(mutex_);
  Entry& e = entry(slice.metadata.namespace_, name);
  e.slices.erase(slice.metadata.name);
  index(slice.metadata.namespace_, name, e);
  drop_if_empty(slice.metadata.namespace_, name);
}

void ClusterRecords::set_ready() {
  std::lock_guard lock(mutex_);
  ready_ = true;
}

bool ClusterRecords::has_ready_endpoint(const std::string& ns, const std::string& name) const {
  std::lock_guard lock(mutex_);
  auto space = namespaces_.find(ns);
  if (space == namespaces_.end()) return false;
  auto it = space->second.find(name);
  return it != space->second.end() &&
         std::ranges::any_of(it->second.slices, [](const auto& s) { return !s.second.endpoints.empty(); });
}

bool ClusterRecords::inside(const std::string& address) const {
  return std::ranges::any_of(pod_cidrs_, [&](const std::string& cidr) { return in_network(address, cidr); });
}

Lookup ClusterRecords::denied(Lookup::Outcome outcome, std::string zone) const {
  Lookup out;
  out.outcome = outcome;
  out.soa = {.owner = zone,
             .type = Type::SOA,
             .ttl = kClusterTtl,
             .data = "ns.dns." + domain_,
             .mailbox = "hostmaster." + domain_,
             .serial = serial_};
  return out;
}

// No records of the type at a name that is there.
Lookup ClusterRecords::found(std::vector<Record> answer, std::string zone, std::vector<Record> additional) const {
  if (answer.empty()) return denied(Lookup::Outcome::NoData, std::move(zone));
  if (answer.size() > kMaxAnswerRecords) answer.resize(kMaxAnswerRecords);
  turn(answer);
  Lookup out;
  out.outcome = Lookup::Outcome::Found;
  out.answer = std::move(answer);
  out.additional = std::move(additional);
  return out;
}

Lookup ClusterRecords::lookup(const Labels& name, Type type) const {
  std::lock_guard lock(mutex_);
  if (auto address = reverse_name(name)) {
    if (!ready_ && inside(*address))
      return {.outcome = Lookup::Outcome::NotReady, .answer = {}, .additional = {}, .soa = {}};
    return of_address(*address, type);
  }
  if (name.size() < domain_labels_.size()) return {};
  size_t more = name.size() - domain_labels_.size();
  for (size_t i = 0; i < domain_labels_.size(); ++i) {
    if (lower(name[more + i]) != domain_labels_[i]) return {};
  }
  if (!ready_) return {.outcome = Lookup::Outcome::NotReady, .answer = {}, .additional = {}, .soa = {}};
  Labels rest;
  for (size_t i = 0; i < more; ++i) rest.push_back(lower(name[i]));
  return of_zone(rest, type);
}

// `rest`: what stands before the domain, lower case.
Lookup ClusterRecords::of_zone(const Labels& rest, Type type) const {
  Record name_server{.owner = domain_, .type = Type::NS, .ttl = kClusterTtl, .data = "ns.dns." + domain_};
  if (rest.empty()) {
    std::vector<Record> out;
    if (wants(type, Type::SOA)) out.push_back(denied(Lookup::Outcome::NoData, domain_).soa);
    if (wants(type, Type::NS)) out.push_back(name_server);
    return found(std::move(out), domain_);
  }
  const std::string& kind = rest.back();
  if (kind == "svc") return of_service(Labels(rest.begin(), rest.end() - 1), type);
  if (kind == "pod") return of_pod(Labels(rest.begin(), rest.end() - 1), type);
  if (rest == Labels{"dns-version"}) {
    std::vector<Record> out;
    if (wants(type, Type::TXT))
      out.push_back({.owner = "", .type = Type::TXT, .ttl = kClusterTtl, .data = std::string(kSchemaVersion)});
    return found(std::move(out), domain_);
  }
  if (rest == Labels{"dns"}) return denied(Lookup::Outcome::NoData, domain_);
  if (rest == Labels{"ns", "dns"}) {
    auto space = namespaces_.find("kube-system");
    if (space != namespaces_.end()) {
      if (auto it = space->second.find("kube-dns"); it != space->second.end())
        return found(address_records(it->second.cluster_ips, type, ""), domain_);
    }
  }
  return denied(Lookup::Outcome::NameError, domain_);
}

Lookup ClusterRecords::of_service(const Labels& rest, Type type) const {
  if (rest.empty()) return denied(Lookup::Outcome::NoData, domain_);
  auto space = namespaces_.find(rest.back());
  if (space == namespaces_.end()) return denied(Lookup::Outcome::NameError, domain_);
  if (rest.size() == 1) return denied(Lookup::Outcome::NoData, domain_);
  const std::string& name = rest[rest.size() - 2];
  auto it = space->second.find(name);
  if (it == space->second.end() || !it->second.service) return denied(Lookup::Outcome::NameError, domain_);
  const Entry& e = it->second;
  Labels before(rest.begin(), rest.end() - 2);
  std::string full = fmt::format("{}.{}.svc.{}", name, rest.back(), domain_);
  if (!e.external_name.empty()) {
    if (!before.empty()) return denied(Lookup::Outcome::NameError, domain_);
    Lookup out;
    out.outcome = type == Type::CNAME || type == Type::ANY ? Lookup::Outcome::Found : Lookup::Outcome::Alias;
    out.answer.push_back({.owner = "", .type = Type::CNAME, .ttl = kClusterTtl, .data = e.external_name});
    return out;
  }
  return e.headless ? of_headless(e, full, before, type) : of_cluster_ip(e, full, before, type);
}

Lookup ClusterRecords::of_cluster_ip(const Entry& e, const std::string& full, const Labels& rest, Type type) const {
  // "_port._proto", "_proto" alone is only on the way to such a name.
  std::vector<const Port*> ports;
  for (const Port& port : e.ports) {
    if (rest.empty() ||
        (rest.size() == 2 && rest[0] == "_" + port.name && !port.name.empty() && rest[1] == port.protocol) ||
        (rest.size() == 1 && !port.name.empty() && rest[0] == port.protocol))
      ports.push_back(&port);
  }
  if (!rest.empty() && ports.empty()) {
    // An endpoint's own name, as CoreDNS gives for every Service.
    if (rest.size() == 1) {
      std::vector<std::string> addresses;
      for (const auto& [key, slice] : e.slices) {
        for (const Endpoint& endpoint : slice.endpoints) {
          if (endpoint.hostname == rest[0])
            addresses.insert(addresses.end(), endpoint.addresses.begin(), endpoint.addresses.end());
        }
      }
      if (!addresses.empty()) return found(address_records(addresses, type, ""), domain_);
    }
    return denied(Lookup::Outcome::NameError, domain_);
  }
  if (rest.size() == 1) return denied(Lookup::Outcome::NoData, domain_);
  std::vector<Record> out;
  if (rest.empty() && type != Type::SRV) out = address_records(e.cluster_ips, type, "");
  std::vector<Record> additional;
  if (wants(type, Type::SRV)) {
    for (const Port* port : ports) {
      out.push_back({.owner = "",
                     .type = Type::SRV,
                     .ttl = kClusterTtl,
                     .data = full,
                     .port = port->number,
                     .weight = static_cast<uint16_t>(std::max<size_t>(1, 100 / ports.size()))});
    }
    if (type == Type::SRV) additional = address_records(e.cluster_ips, Type::ANY, full);
  }
  return found(std::move(out), domain_, std::move(additional));
}

Lookup ClusterRecords::of_headless(const Entry& e, const std::string& full, const Labels& rest, Type type) const {
  bool any = false;
  std::vector<Record> out, additional;
  // Slices of one Service may name the same endpoint.
  std::set<std::string> seen;
  for (const auto& [key, slice] : e.slices) {
    for (const Endpoint& endpoint : slice.endpoints) {
      bool self = rest.empty() || (rest.size() == 1 && rest[0] == endpoint.hostname);
      if (self) {
        any = true;
        for (Record& record : address_records(endpoint.addresses, type, "")) {
          if (type != Type::SRV && seen.insert(record.data).second) out.push_back(std::move(record));
        }
      }
      for (const Port& port : slice.ports) {
        bool all = rest.empty();
        bool named = !port.name.empty() && rest.size() == 2 && rest[0] == "_" + port.name && rest[1] == port.protocol;
        any = any || named || (!port.name.empty() && rest.size() == 1 && rest[0] == port.protocol);
        if (!wants(type, Type::SRV) || !(all || named)) continue;
        std::string target = endpoint.hostname + "." + full;
        if (!seen.insert(fmt::format("{} {}", target, port.number)).second) continue;
        out.push_back({.owner = "", .type = Type::SRV, .ttl = kClusterTtl, .data = target, .port = port.number});
        if (type == Type::SRV && seen.insert("+" + target).second) {
          for (Record& record : address_records(endpoint.addresses, Type::ANY, target))
            additional.push_back(std::move(record));
        }
      }
    }
  }
  // The specification's wish: a headless Service without a ready endpoint has no name.
  if (!any) return denied(Lookup::Outcome::NameError, domain_);
  for (Record& record : out) {
    if (record.type == Type::SRV) record.weight = static_cast<uint16_t>(std::max<size_t>(1, 100 / out.size()));
  }
  return found(std::move(out), domain_, std::move(additional));
}

Lookup ClusterRecords::of_pod(const Labels& rest, Type type) const {
  if (rest.size() < 2) return denied(Lookup::Outcome::NoData, domain_);
  auto address = dashed_address(rest[0]);
  if (rest.size() != 2 || !address || !inside(*address)) return denied(Lookup::Outcome::NameError, domain_);
  return found(address_records({*address}, type, ""), domain_);
}

Lookup ClusterRecords::of_address(const std::string& address, Type type) const {
  std::string zone = is_ipv6(address) ? "ip6.arpa" : "in-addr.arpa";
  auto it = reverse_.find(address);
  if (it == reverse_.end()) return inside(address) ? denied(Lookup::Outcome::NameError, zone) : Lookup{};
  std::vector<Record> out;
  if (wants(type, Type::PTR)) {
    for (const std::string& target : it->second)
      out.push_back({.owner = "", .type = Type::PTR, .ttl = kClusterTtl, .data = target});
  }
  return found(std::move(out), zone);
}

}  // namespace redoubt::dns
