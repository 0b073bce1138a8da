#include "controllers/endpoints/backends.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "schema/typed.h"

namespace redoubt::controllers {

bool selects(const std::map<std::string, std::string>& selector, const std::map<std::string, std::string>& labels) {
  return !selector.empty() && std::all_of(selector.begin(), selector.end(), [&](const auto& wanted) {
    auto it = labels.find(wanted.first);
    return it != labels.end() && it->second == wanted.second;
  });
}

bool is_headless(const core::Service& service) {
  return service.spec.clusterIP == "None" || service.spec.clusterIP.empty();
}

std::string address_type_of(std::string_view ip) {
  return ip.find(':') == std::string_view::npos ? "IPv4" : "IPv6";
}

std::vector<std::string> address_types(const core::Service& service) {
  if (!service.spec.ipFamilies.empty()) return service.spec.ipFamilies;
  if (!is_headless(service)) return {address_type_of(service.spec.clusterIP)};
  return {"IPv4", "IPv6"};
}

bool can_be_endpoint(const core::Pod& pod, bool terminating) {
  if (pod.status.phase == "Failed" || pod.status.phase == "Succeeded") return false;
  if (pod.status.podIP.empty() && pod.status.podIPs.empty()) return false;
  return terminating || !is_deleting(pod.metadata);
}

std::optional<int32_t> target_port(const core::ServicePort& port, const core::Pod& pod) {
  if (!port.targetPort.is_string) return port.targetPort.number != 0 ? port.targetPort.number : port.port;
  std::string protocol = port.protocol.empty() ? "TCP" : port.protocol;
  auto look = [&](const std::vector<core::Container>& containers, bool sidecars) -> std::optional<int32_t> {
    for (const core::Container& container : containers) {
      if (sidecars && container.restartPolicy != "Always") continue;
      for (const core::ContainerPort& p : container.ports) {
        if (p.name == port.targetPort.text && (p.protocol.empty() ? "TCP" : p.protocol) == protocol)
          return p.containerPort;
      }
    }
    return std::nullopt;
  };
  if (auto found = look(pod.spec.containers, false)) return found;
  return look(pod.spec.initContainers, true);
}

std::vector<discovery::EndpointPort> ports_of(const core::Service& service, const core::Pod& pod) {
  std::vector<discovery::EndpointPort> out;
  for (const core::ServicePort& port : service.spec.ports) {
    auto number = target_port(port, pod);
    if (!number) continue;
    discovery::EndpointPort& p = out.emplace_back();
    p.name = port.name;
    p.protocol = port.protocol.empty() ? "TCP" : port.protocol;
    p.port = *number;
    p.appProtocol = port.appProtocol;
  }
  return out;
}

bool endpoint_differs(const core::Pod& before, const core::Pod& after) {
  auto facts = [](const core::Pod& p) {
    return std::tie(p.metadata.labels, p.metadata.uid, p.status.phase, p.status.podIP, p.spec.nodeName, p.spec.hostname,
                    p.spec.subdomain);
  };
  auto ips = [](const core::Pod& p) {
    std::vector<std::string> out;
    for (const auto& ip : p.status.podIPs) out.push_back(ip.ip);
    return out;
  };
  return facts(before) != facts(after) || is_ready(before) != is_ready(after) ||
         is_deleting(before.metadata) != is_deleting(after.metadata) || ips(before) != ips(after);
}

std::optional<std::string> hostname_of(const core::Pod& pod, const core::Service& service) {
  if (pod.spec.hostname.empty() || pod.spec.subdomain != service.metadata.name ||
      pod.metadata.namespace_ != service.metadata.namespace_)
    return std::nullopt;
  return pod.spec.hostname;
}

namespace {

core::ObjectReference reference_to(const core::Pod& pod) {
  core::ObjectReference out;
  out.kind = "Pod";
  out.namespace_ = pod.metadata.namespace_;
  out.name = pod.metadata.name;
  out.uid = pod.metadata.uid;
  return out;
}

std::vector<std::string> addresses_of(const core::Pod& pod, const std::string& type) {
  std::vector<std::string> out;
  for (const auto& ip : pod.status.podIPs) {
    if (address_type_of(ip.ip) == type) out.push_back(ip.ip);
  }
  if (out.empty() && pod.status.podIPs.empty() && address_type_of(pod.status.podIP) == type)
    out.push_back(pod.status.podIP);
  return out;
}

std::string key_of(const std::vector<discovery::EndpointPort>& ports) {
  std::string out;
  for (const auto& p : ports) {
    out += fmt::format("{}|{}|{}|{};", p.name.value_or(""), p.protocol.value_or("TCP"), p.port.value_or(0),
                       p.appProtocol.value_or(""));
  }
  return out;
}

void set_hints(discovery::Endpoint& endpoint, const std::string& distribution) {
  bool same_node = distribution == "PreferSameNode";
  if (!same_node && distribution != "PreferClose" && distribution != "PreferSameZone") return;
  if (!endpoint.conditions.ready.value_or(true)) return;
  discovery::EndpointHints hints;
  if (endpoint.zone) hints.forZones.emplace_back().name = *endpoint.zone;
  if (same_node && endpoint.nodeName) hints.forNodes.emplace_back().name = *endpoint.nodeName;
  if (!hints.forZones.empty() || !hints.forNodes.empty()) endpoint.hints = std::move(hints);
}

}  // namespace

std::vector<EndpointGroup> group_endpoints(const core::Service& service, const std::vector<PodPtr>& pods,
                                           const std::function<std::string(const std::string& node)>& zone_of) {
  std::vector<EndpointGroup> out;
  std::string distribution = service.spec.trafficDistribution.value_or("");
  for (const std::string& type : address_types(service)) {
    std::map<std::string, EndpointGroup> groups;
    for (const PodPtr& pod : pods) {
      if (!can_be_endpoint(*pod, true)) continue;
      discovery::Endpoint endpoint;
      endpoint.addresses = addresses_of(*pod, type);
      if (endpoint.addresses.empty()) continue;
      bool serving = is_ready(*pod), terminating = is_deleting(pod->metadata);
      endpoint.conditions.ready = service.spec.publishNotReadyAddresses || (serving && !terminating);
      endpoint.conditions.serving = serving;
      endpoint.conditions.terminating = terminating;
      endpoint.targetRef = reference_to(*pod);
      endpoint.hostname = hostname_of(*pod, service);
      if (!pod->spec.nodeName.empty()) {
        endpoint.nodeName = pod->spec.nodeName;
        if (std::string zone = zone_of(pod->spec.nodeName); !zone.empty()) endpoint.zone = zone;
      }
      set_hints(endpoint, distribution);
      auto ports = ports_of(service, *pod);
      EndpointGroup& group = groups[key_of(ports)];
      group.ports = std::move(ports);
      group.endpoints.push_back(std::move(endpoint));
    }
    // A Service without a pod still has a slice of each address type: empty, not absent.
    if (groups.empty()) groups[""];
    for (auto& [key, group] : groups) {
      group.address_type = type;
      out.push_back(std::move(group));
    }
  }
  return out;
}

std::vector<core::EndpointSubset> endpoint_subsets(const core::Service& service, const std::vector<PodPtr>& pods,
                                                   size_t capacity, bool& truncated) {
  std::string type = address_types(service).front();
  struct Backend {
    core::EndpointAddress address;
    bool ready;
    std::vector<discovery::EndpointPort> ports;
  };
  std::vector<Backend> backends;
  for (const PodPtr& pod : pods) {
    if (!can_be_endpoint(*pod, service.spec.publishNotReadyAddresses)) continue;
    auto ips = addresses_of(*pod, type);
    if (ips.empty()) continue;
    Backend& b = backends.emplace_back();
    b.address.ip = ips.front();
    b.address.hostname = hostname_of(*pod, service).value_or("");
    if (!pod->spec.nodeName.empty()) b.address.nodeName = pod->spec.nodeName;
    b.address.targetRef = reference_to(*pod);
    b.ready = service.spec.publishNotReadyAddresses || is_ready(*pod);
    b.ports = ports_of(service, *pod);
  }
  std::sort(backends.begin(), backends.end(), [](const Backend& a, const Backend& b) {
    return std::tie(a.address.ip, a.address.targetRef->uid) < std::tie(b.address.ip, b.address.targetRef->uid);
  });
  truncated = backends.size() > capacity;
  if (truncated) {
    std::stable_partition(backends.begin(), backends.end(), [](const Backend& b) { return b.ready; });
    backends.resize(capacity);
  }
  // One port at a time: which backends have it; ports with the same backends share a subset.
  std::map<std::string, std::pair<discovery::EndpointPort, std::set<size_t>>> by_port;
  for (size_t i = 0; i < backends.size(); ++i) {
    if (backends[i].ports.empty() && is_headless(service) && service.spec.ports.empty()) by_port[""].second.insert(i);
    for (const auto& port : backends[i].ports) {
      auto& slot = by_port[key_of({port})];
      slot.first = port;
      slot.second.insert(i);
    }
  }
  std::map<std::set<size_t>, std::vector<core::EndpointPort>> by_backends;
  for (const auto& [key, entry] : by_port) {
    auto& ports = by_backends[entry.second];
    if (key.empty()) continue;
    core::EndpointPort& p = ports.emplace_back();
    p.name = entry.first.name.value_or("");
    p.port = entry.first.port.value_or(0);
    p.protocol = entry.first.protocol.value_or("TCP");
    p.appProtocol = entry.first.appProtocol;
  }
  std::vector<core::EndpointSubset> out;
  for (auto& [members, ports] : by_backends) {
    core::EndpointSubset& subset = out.emplace_back();
    subset.ports = std::move(ports);
    for (size_t i : members)
      (backends[i].ready ? subset.addresses : subset.notReadyAddresses).push_back(backends[i].address);
  }
  return out;
}

std::vector<EndpointGroup> mirror_endpoints(const core::Endpoints& endpoints, size_t per_subset) {
  std::vector<EndpointGroup> out;
  std::map<std::pair<std::string, std::string>, size_t> known;  // address type and ports to the group's place
  for (const core::EndpointSubset& subset : endpoints.subsets) {
    std::vector<discovery::EndpointPort> ports;
    for (const core::EndpointPort& port : subset.ports) {
      discovery::EndpointPort& p = ports.emplace_back();
      p.name = port.name;
      p.port = port.port;
      p.protocol = port.protocol.empty() ? "TCP" : port.protocol;
      p.appProtocol = port.appProtocol;
    }
    size_t taken = 0;
    auto add = [&](const core::EndpointAddress& address, bool ready) {
      if (taken++ >= per_subset) return;
      std::string type = address_type_of(address.ip);
      auto [it, fresh] = known.try_emplace({type, key_of(ports)}, out.size());
      if (fresh) {
        EndpointGroup& group = out.emplace_back();
        group.address_type = type;
        group.ports = ports;
      }
      discovery::Endpoint& e = out[it->second].endpoints.emplace_back();
      e.addresses = {address.ip};
      e.conditions.ready = ready;
      if (!address.hostname.empty()) e.hostname = address.hostname;
      e.nodeName = address.nodeName;
      e.targetRef = address.targetRef;
    };
    for (const auto& address : subset.addresses) add(address, true);
    for (const auto& address : subset.notReadyAddresses) add(address, false);
  }
  return out;
}

}  // namespace redoubt::controllers
