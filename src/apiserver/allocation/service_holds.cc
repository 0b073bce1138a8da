#include "apiserver/allocation/service_holds.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/allocation/network.h"

namespace redoubt::apiserver {

using schema::Value;

std::string service_key(const Value& service) {
  return fmt::format("{}/{}", service.get({"metadata", "namespace"}).as_string(),
                     service.get({"metadata", "name"}).as_string());
}

std::string parent_key(const Value& ip_address) {
  return fmt::format("{}/{}", ip_address.get({"spec", "parentRef", "namespace"}).as_string(),
                     ip_address.get({"spec", "parentRef", "name"}).as_string());
}

std::vector<std::string> held_ips(const Value& service) {
  std::vector<std::string> out;
  if (service.get({"spec", "type"}).as_string() == "ExternalName") return out;
  auto add = [&out](std::string_view text) {
    auto ip = canonical_ip(text);
    if (ip && std::ranges::find(out, *ip) == out.end()) out.push_back(*ip);
  };
  for (const Value& ip : schema::items(service.get({"spec", "clusterIPs"}))) add(ip.as_string());
  add(service.get({"spec", "clusterIP"}).as_string());
  return out;
}

std::vector<int64_t> held_ports(const Value& service) {
  std::vector<int64_t> out;
  std::string_view type = service.get({"spec", "type"}).as_string();
  if (type != "NodePort" && type != "LoadBalancer") return out;
  auto add = [&out](int64_t port) {
    if (port > 0 && std::ranges::find(out, port) == out.end()) out.push_back(port);
  };
  for (const Value& port : schema::items(service.get({"spec", "ports"}))) add(port.get({"nodePort"}).as_int());
  add(service.get({"spec", "healthCheckNodePort"}).as_int());
  return out;
}

}  // namespace redoubt::apiserver
