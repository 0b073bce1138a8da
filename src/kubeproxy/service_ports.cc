#include "kubeproxy/service_ports.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <optional>

namespace redoubt::kubeproxy {

namespace core = k8s::core::v1;
namespace discovery = k8s::discovery::v1;

namespace {

constexpr int kDefaultAffinitySeconds = 10'800, kMostAffinitySeconds = 86'400;

namespace ip = boost::asio::ip;

// As the kernel would print it; nothing for what is no address.
std::optional<std::string> canonical(const std::string& text) {
  boost::system::error_code error;
  auto address = ip::make_address(text, error);
  if (error || text.find('%') != std::string::npos) return std::nullopt;
  return address.to_string();
}

// An address, or a network with its host bits off.
std::optional<std::string> canonical_range(const std::string& text) {
  if (text.find('/') == std::string::npos) return canonical(text);
  boost::system::error_code error;
  if (text.find(':') == std::string::npos) {
    auto network = ip::make_network_v4(text, error);
    return error ? std::nullopt : std::optional(network.canonical().to_string());
  }
  auto network = ip::make_network_v6(text, error);
  return error ? std::nullopt : std::optional(network.canonical().to_string());
}

std::optional<uint16_t> port_number(int64_t number) {
  return number >= 1 && number <= 65535 ? std::optional(static_cast<uint16_t>(number)) : std::nullopt;
}

struct Candidate {
  Destination to;
  bool ready, serving, terminating;
  const discovery::Endpoint* endpoint;
};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::vector<Candidate> candidates_of(const core::ServicePort& port, Family family,
                                     const std::vector<const discovery::EndpointSlice*>& slices, const Place& place) {
  std::vector<Candidate> out;
  std::string protocol = port.protocol.empty() ? "TCP" : port.protocol;
  for (const auto* slice : slices) {
    if (slice->addressType != (family == Family::IPv4 ? "IPv4" : "IPv6")) continue;
    for (const auto& offered : slice->ports) {
      if (offered.name.value_or("") != port.name || offered.protocol.value_or("TCP") != protocol || !offered.port)
        continue;
      auto number = port_number(*offered.port);
      for (const auto& endpoint : slice->endpoints) {
        if (endpoint.addresses.empty()) continue;
        auto address = canonical(endpoint.addresses.front());
        if (!number || !address || family_of(*address) != family) continue;
        const auto& c = endpoint.conditions;
        bool ready = c.ready.value_or(true);
        // Only the first address is used:
        // https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/
        out.push_back({{*address, *number, endpoint.nodeName && *endpoint.nodeName == place.node},
                       ready,
                       c.serving.value_or(ready),
                       c.terminating.value_or(false),
                       &endpoint});
      }
    }
  }
  // A pod may stand in two slices for a moment while it moves between them: the readier entry counts.
  std::sort(out.begin(), out.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(a.to, b.ready, b.serving) < std::tie(b.to, a.ready, a.serving);
  });
  out.erase(std::unique(out.begin(), out.end(), [](const Candidate& a, const Candidate& b) { return a.to == b.to; }),
            out.end());
  return out;
}

// Ready ones; where there is none, those that serve on while terminating.
template <class Wanted>
std::vector<const Candidate*> usable(const std::vector<Candidate>& all, Wanted wanted) {
  std::vector<const Candidate*> out;
  for (const Candidate& c : all) {
    if (c.ready && wanted(c)) out.push_back(&c);
  }
  if (!out.empty()) return out;
  for (const Candidate& c : all) {
    if (c.serving && c.terminating && wanted(c)) out.push_back(&c);
  }
  return out;
}

bool hinted_node(const Candidate& c, const std::string& node) {
  return c.endpoint->hints && std::any_of(c.endpoint->hints->forNodes.begin(), c.endpoint->hints->forNodes.end(),
                                          [&](const auto& n) { return n.name == node; });
}
bool hinted_zone(const Candidate& c, const std::string& zone) {
  return c.endpoint->hints && std::any_of(c.endpoint->hints->forZones.begin(), c.endpoint->hints->forZones.end(),
                                          [&](const auto& z) { return z.name == zone; });
}

// Hints count only when every endpoint has one and at least one is meant for here: half of a distribution would
// overload somebody.
std::vector<const Candidate*> by_hints(std::vector<const Candidate*> all, const Place& place) {
  auto narrowed = [&](auto has, auto here) -> std::vector<const Candidate*> {
    std::vector<const Candidate*> out;
    for (const Candidate* c : all) {
      if (!has(*c)) return {};
      if (here(*c)) out.push_back(c);
    }
    return out;
  };
  auto same_node =
      narrowed([](const Candidate& c) { return c.endpoint->hints && !c.endpoint->hints->forNodes.empty(); },
               [&](const Candidate& c) { return hinted_node(c, place.node); });
  if (!same_node.empty()) return same_node;
  if (place.zone.empty()) return all;
  auto same_zone =
      narrowed([](const Candidate& c) { return c.endpoint->hints && !c.endpoint->hints->forZones.empty(); },
               [&](const Candidate& c) { return hinted_zone(c, place.zone); });
  return same_zone.empty() ? all : same_zone;
}

std::vector<Destination> destinations(const std::vector<const Candidate*>& chosen) {
  std::vector<Destination> out;
  for (const Candidate* c : chosen) out.push_back(c->to);
  return out;
}

}  // namespace

Family family_of(std::string_view address) {
  return address.find(':') == std::string_view::npos ? Family::IPv4 : Family::IPv6;
}

std::vector<ServicePort> service_ports(const core::Service& service,
                                       const std::vector<const discovery::EndpointSlice*>& slices, const Place& place) {
  const auto& spec = service.spec;
  std::vector<ServicePort> out;
  if (spec.type == "ExternalName" || spec.clusterIP.empty() || spec.clusterIP == "None" ||
      service.metadata.labels.contains("service.kubernetes.io/service-proxy-name"))
    return out;
  std::vector<std::string> cluster_ips = spec.clusterIPs.empty() ? std::vector{spec.clusterIP} : spec.clusterIPs;
  for (const std::string& given_ip : cluster_ips) {
    auto cluster_ip = canonical(given_ip);
    if (!cluster_ip) continue;
    Family family = family_of(*cluster_ip);
    auto of_family = [&](const std::vector<std::string>& all, auto parse) {
      std::vector<std::string> mine;
      for (const std::string& given : all) {
        auto a = parse(given);
        if (a && family_of(*a) == family) mine.push_back(*a);
      }
      std::sort(mine.begin(), mine.end());
      mine.erase(std::unique(mine.begin(), mine.end()), mine.end());
      return mine;
    };
    for (const auto& port : spec.ports) {
      ServicePort p;
      p.service = service.metadata.namespace_ + "/" + service.metadata.name;
      p.port_name = port.name;
      p.protocol = lower(port.protocol.empty() ? "TCP" : port.protocol);
      auto number = port_number(port.port);
      if (!number || (p.protocol != "tcp" && p.protocol != "udp" && p.protocol != "sctp")) continue;
      p.family = family;
      p.cluster_ip = *cluster_ip;
      p.port = *number;
      if (spec.type == "NodePort" || spec.type == "LoadBalancer") p.node_port = port_number(port.nodePort).value_or(0);
      p.external_ips = of_family(spec.externalIPs, canonical);
      if (spec.type == "LoadBalancer") {
        std::vector<std::string> addresses;
        for (const auto& ingress : service.status.loadBalancer.ingress) {
          // ipMode Proxy: the balancer itself delivers to node ports, so nodes must not short-cut it.
          if (!ingress.ip.empty() && ingress.ipMode.value_or("VIP") == "VIP") addresses.push_back(ingress.ip);
        }
        p.load_balancers = of_family(addresses, canonical);
        p.source_ranges = of_family(spec.loadBalancerSourceRanges, canonical_range);
      }
      if (spec.sessionAffinity == "ClientIP") {
        p.affinity_seconds = kDefaultAffinitySeconds;
        if (spec.sessionAffinityConfig && spec.sessionAffinityConfig->clientIP)
          p.affinity_seconds = spec.sessionAffinityConfig->clientIP->timeoutSeconds.value_or(kDefaultAffinitySeconds);
        p.affinity_seconds = std::clamp(p.affinity_seconds, 1, kMostAffinitySeconds);
      }
      p.internal_local = spec.internalTrafficPolicy.value_or("Cluster") == "Local";
      p.external_local = spec.externalTrafficPolicy == "Local";
      if (p.external_local) p.health_check_node_port = port_number(spec.healthCheckNodePort).value_or(0);

      std::vector<Candidate> all = candidates_of(port, family, slices, place);
      auto anywhere = usable(all, [](const Candidate&) { return true; });
      p.any_endpoint = !anywhere.empty();
      p.cluster = destinations(by_hints(std::move(anywhere), place));
      p.local = destinations(usable(all, [](const Candidate& c) { return c.to.local; }));
      out.push_back(std::move(p));
    }
  }
  return out;
}

}  // namespace redoubt::kubeproxy
