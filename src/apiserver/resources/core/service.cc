// Services: defaults, what a change of type leaves behind, what an update may leave out, and what must fit together.
// Addresses and node ports are given elsewhere (apiserver/allocation).
#include <algorithm>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <set>

#include "apiserver/resources/kinds.h"
#include "apiserver/resources/networking/ip_checks.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

namespace {

namespace ip = boost::asio::ip;

constexpr int64_t kDefaultAffinitySeconds = 10'800, kMostAffinitySeconds = 86'400;
constexpr size_t kMostPortName = 15;

std::string text(const Value& service, std::string_view field) {
  return std::string(service.get({"spec", field}).as_string());
}

bool is_external_name(const Value& service) {
  return text(service, "type") == "ExternalName";
}
bool has_node_ports(const Value& service) {
  std::string type = text(service, "type");
  return type == "NodePort" || type == "LoadBalancer";
}
bool is_reached_from_outside(const Value& service) {
  return has_node_ports(service) ||
         (text(service, "type") == "ClusterIP" && !service.get({"spec", "externalIPs"}).empty());
}
bool has_health_check(const Value& service) {
  return text(service, "type") == "LoadBalancer" && text(service, "externalTrafficPolicy") == "Local";
}
bool is_headless(const Value& service) {
  return text(service, "clusterIP") == "None";
}
bool same(const Value& service, const Value& old, std::string_view field) {
  return service.get({"spec", field}).equals(old.get({"spec", field}));
}

std::set<int64_t> node_ports(const Value& service) {
  std::set<int64_t> out;
  for (const Value& port : schema::items(service.get({"spec", "ports"}))) {
    if (int64_t number = port.get({"nodePort"}).as_int(); number != 0) out.insert(number);
  }
  return out;
}

void refuse(Causes& causes, std::string field, const Value& shown, std::string_view why) {
  add_cause(causes, "FieldValueInvalid", std::move(field),
            fmt::format("Invalid value: {}: {}", schema::to_json(shown, nullptr), why));
}
void forbid(Causes& causes, std::string field, std::string_view why) {
  add_cause(causes, "FieldValueForbidden", std::move(field), fmt::format("Forbidden: {}", why));
}

// ---- defaults and preparation ----

void set_defaults(Value& service, Arena& arena) {
  Value& spec = service.object_at(arena, "spec");
  set_default(spec, arena, "type", Value::string("ClusterIP"));
  set_default(spec, arena, "sessionAffinity", Value::string("None"));
  std::string_view affinity = spec.get({"sessionAffinity"}).as_string();
  if (affinity == "None") spec.erase("sessionAffinityConfig");
  if (affinity == "ClientIP") {
    Value& client = spec.object_at(arena, "sessionAffinityConfig").object_at(arena, "clientIP");
    set_default(client, arena, "timeoutSeconds", Value::integer(kDefaultAffinitySeconds));
  }
  if (!is_external_name(service)) set_default(spec, arena, "internalTrafficPolicy", Value::string("Cluster"));
  if (is_reached_from_outside(service)) set_default(spec, arena, "externalTrafficPolicy", Value::string("Cluster"));
  if (spec.get({"type"}).as_string() == "LoadBalancer")
    set_default(spec, arena, "allocateLoadBalancerNodePorts", Value::boolean(true));
  for (Value& port : schema::items(spec.get({"ports"}))) {
    set_default(port, arena, "protocol", Value::string("TCP"));
    set_default(port, arena, "targetPort", port.get({"port"}));
  }
}

// Both fields say the same, or one is filled from the other: old clients know clusterIP only.
void align_cluster_ips(Value& service, const Value& old, Arena& arena) {
  Value& spec = service.object_at(arena, "spec");
  std::string_view single = spec.get({"clusterIP"}).as_string();
  Value list = spec.get({"clusterIPs"});
  auto set_list = [&](std::string_view first) {
    Value made = Value::array(arena);
    made.push_back(arena, Value::string(first));
    spec.set(arena, "clusterIPs", made);
  };
  if (list.empty()) {
    if (!single.empty()) set_list(single);
    return;
  }
  if (list.at(0).as_string() == single) return;
  std::string_view before = old.get({"spec", "clusterIP"}).as_string();
  bool list_kept = !before.empty() && list.equals(old.get({"spec", "clusterIPs"}));
  if (single.empty() && list_kept) {
    spec.erase("clusterIPs");
  } else if (single.empty()) {
    spec.set(arena, "clusterIP", list.at(0));
  } else if (list_kept) {
    set_list(single);
  }
}

// What the server gave, and an update leaves out, stays.
void keep_given(Value& service, const Value& old, Arena& arena) {
  Value& spec = service.object_at(arena, "spec");
  if (!is_external_name(old) && !is_external_name(service)) {
    if (text(service, "clusterIP").empty() && old.get({"spec"}).has("clusterIP"))
      spec.set(arena, "clusterIP", old.get({"spec", "clusterIP"}).clone(arena));
    if (spec.get({"clusterIPs"}).empty() && old.get({"spec"}).has("clusterIPs"))
      spec.set(arena, "clusterIPs", old.get({"spec", "clusterIPs"}).clone(arena));
  }
  if (has_node_ports(old) && has_node_ports(service)) {
    // By the port's name; not what another port of it has by now.
    std::set<int64_t> used = node_ports(service);
    for (Value& port : schema::items(spec.get({"ports"}))) {
      if (port.get({"nodePort"}).as_int() != 0) continue;
      for (const Value& was : schema::items(old.get({"spec", "ports"}))) {
        int64_t number = was.get({"nodePort"}).as_int();
        if (number == 0 || used.contains(number) || was.get({"name"}).as_string() != port.get({"name"}).as_string())
          continue;
        port.set(arena, "nodePort", Value::integer(number));
        used.insert(number);
        break;
      }
    }
  }
  if (has_health_check(old) && has_health_check(service) && spec.get({"healthCheckNodePort"}).as_int() == 0)
    spec.set(arena, "healthCheckNodePort", old.get({"spec", "healthCheckNodePort"}));
}

// Of what only the former type had, what the update did not touch goes. (What it did touch, validation refuses.)
void drop_leftovers(Value& service, const Value& old, Arena& arena) {
  Value& spec = service.object_at(arena, "spec");
  if (!is_external_name(old) && is_external_name(service)) {
    if (same(service, old, "clusterIP") && same(service, old, "clusterIPs")) {
      spec.erase("clusterIP");
      spec.erase("clusterIPs");
    }
    for (const char* field : {"ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"}) {
      if (same(service, old, field)) spec.erase(field);
    }
  }
  if (has_node_ports(old) && !has_node_ports(service)) {
    std::set<int64_t> had = node_ports(old), has = node_ports(service);
    if (std::ranges::includes(had, has)) {
      for (Value& port : schema::items(spec.get({"ports"}))) port.erase("nodePort");
    }
  }
  if (has_health_check(old) && !has_health_check(service) && same(service, old, "healthCheckNodePort"))
    spec.erase("healthCheckNodePort");
  if (text(old, "type") == "LoadBalancer" && text(service, "type") != "LoadBalancer") {
    for (const char* field : {"allocateLoadBalancerNodePorts", "loadBalancerClass"}) {
      if (same(service, old, field)) spec.erase(field);
    }
  }
  if (is_reached_from_outside(old) && !is_reached_from_outside(service) && same(service, old, "externalTrafficPolicy"))
    spec.erase("externalTrafficPolicy");
  if (text(service, "type") != "LoadBalancer" && !service.get({"status", "loadBalancer"}).empty()) {
    Value status = service.get({"status"}).clone(arena);  // the old object's until now
    status.set(arena, "loadBalancer", Value::object(arena));
    service.set(arena, "status", status);
  }
}

// ---- validation ----

void check_type(const Value& service, Causes& causes) {
  std::string type = text(service, "type");
  Value spec = service.get({"spec"});
  if (type != "ClusterIP" && type != "NodePort" && type != "LoadBalancer" && type != "ExternalName")
    not_supported(causes, "spec.type", type, {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"});
  if (has_node_ports(service) && is_headless(service))
    invalid_value(causes, "spec.clusterIPs[0]", "None", fmt::format("may not be set to 'None' for {} services", type));
  if (type == "ExternalName") {
    for (const char* field : {"clusterIPs", "ipFamilies", "ipFamilyPolicy"}) {
      if (spec.has(field)) forbid(causes, fmt::format("spec.{}", field), "may not be set for ExternalName services");
    }
    std::string name = text(service, "externalName");
    if (name.ends_with('.')) name.pop_back();
    if (name.empty()) {
      required(causes, "spec.externalName");
    } else if (!is_dns1123_subdomain(name)) {
      invalid_value(causes, "spec.externalName", name, kSubdomainMessage);
    }
  }
  if (type != "LoadBalancer") {
    for (const char* field : {"allocateLoadBalancerNodePorts", "loadBalancerClass", "loadBalancerSourceRanges"}) {
      if (spec.has(field) && !(spec.get({field}).is_array() && spec.get({field}).empty()))
        forbid(causes, fmt::format("spec.{}", field), "may only be used when `type` is 'LoadBalancer'");
    }
  } else if (std::string name = text(service, "loadBalancerClass"); !name.empty() && !is_qualified_name(name)) {
    invalid_value(causes, "spec.loadBalancerClass", name, "must be a qualified name, like example.com/class");
  }
}

// https://www.iana.org/assignments/service-names: 1 to 15 of a-z, 0-9 and single hyphens inside, one letter at least.
bool is_port_name(std::string_view name) {
  bool letter = false;
  for (char c : name) {
    bool lower = c >= 'a' && c <= 'z';
    if (!lower && !(c >= '0' && c <= '9') && c != '-') return false;
    letter = letter || lower;
  }
  return letter && name.size() <= kMostPortName && name.front() != '-' && name.back() != '-' &&
         name.find("--") == std::string_view::npos;
}

void check_port_number(const Value& number, const std::string& field, Causes& causes) {
  if (number.as_int() < 1 || number.as_int() > 65535)
    add_cause(causes, "FieldValueInvalid", field,
              fmt::format("Invalid value: {}: must be between 1 and 65535, inclusive", number.as_int()));
}

void check_ports(const Value& service, Causes& causes) {
  Value ports = service.get({"spec", "ports"});
  if (ports.empty() && !is_external_name(service) && !is_headless(service)) required(causes, "spec.ports");
  auto duplicate = [&](const std::string& field, std::string_view shown) {
    add_cause(causes, "FieldValueDuplicate", field, fmt::format("Duplicate value: {}", shown));
  };
  std::set<std::string> names;
  std::set<std::pair<std::string, int64_t>> numbers, node_numbers;
  for (size_t i = 0; i < ports.size(); ++i) {
    const Value& port = ports.at(i);
    std::string at = fmt::format("spec.ports[{}]", i);
    std::string name(port.get({"name"}).as_string()), protocol(port.get({"protocol"}).as_string());
    if (name.empty()) {
      if (ports.size() > 1) required(causes, at + ".name");
    } else if (!is_dns1123_label(name)) {
      invalid_value(causes, at + ".name", name, kLabelMessage);
    } else if (!names.insert(name).second) {
      duplicate(at + ".name", fmt::format("\"{}\"", name));
    }
    check_port_number(port.get({"port"}), at + ".port", causes);
    if (protocol != "TCP" && protocol != "UDP" && protocol != "SCTP")
      not_supported(causes, at + ".protocol", protocol, {"SCTP", "TCP", "UDP"});
    if (Value target = port.get({"targetPort"}); target.is_int()) {
      check_port_number(target, at + ".targetPort", causes);
    } else if (target.is_string() && !is_port_name(target.as_string())) {
      invalid_value(causes, at + ".targetPort", target.as_string(),
                    "must be a port's number or name (at most 15 of a-z, 0-9 and '-', with a letter among them)");
    }
    int64_t number = port.get({"port"}).as_int(), node_port = port.get({"nodePort"}).as_int();
    if (!numbers.emplace(protocol, number).second)
      duplicate(at, fmt::format(R"({{"port":{},"protocol":"{}"}})", number, protocol));
    if (node_port == 0) continue;
    if (text(service, "type") == "ClusterIP")
      forbid(causes, at + ".nodePort", "may not be used when `type` is 'ClusterIP'");
    if (!node_numbers.emplace(protocol, node_port).second) duplicate(at + ".nodePort", std::to_string(node_port));
  }
}

void check_affinity(const Value& service, Causes& causes) {
  std::string affinity = text(service, "sessionAffinity");
  if (affinity != "None" && affinity != "ClientIP")
    not_supported(causes, "spec.sessionAffinity", affinity, {"ClientIP", "None"});
  Value seconds = service.get({"spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"});
  if (affinity == "ClientIP" && (seconds.as_int() < 1 || seconds.as_int() > kMostAffinitySeconds))
    refuse(causes, "spec.sessionAffinityConfig.clientIP.timeoutSeconds", seconds,
           fmt::format("must be greater than 0 and less than {}", kMostAffinitySeconds));
}

void check_addresses(const Value& service, Causes& causes) {
  Value external = service.get({"spec", "externalIPs"});
  for (size_t i = 0; i < external.size(); ++i) {
    check_endpoint_ip(external.at(i).as_string(), fmt::format("spec.externalIPs[{}]", i), causes);
  }
  Value ranges = service.get({"spec", "loadBalancerSourceRanges"});
  for (size_t i = 0; i < ranges.size(); ++i) {
    std::string shown(ranges.at(i).as_string());
    boost::system::error_code error;
    if (shown.find(':') == std::string::npos) {
      ip::make_network_v4(shown, error);
    } else {
      ip::make_network_v6(shown, error);
    }
    if (error)
      invalid_value(causes, fmt::format("spec.loadBalancerSourceRanges[{}]", i), shown,
                    "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
  }
}

// Written by whoever runs balancers.
void check_balancer(const Value& service, Causes& causes) {
  Value ingress = service.get({"status", "loadBalancer", "ingress"});
  for (size_t i = 0; i < ingress.size(); ++i) {
    std::string at = fmt::format("status.loadBalancer.ingress[{}]", i);
    std::string_view address = ingress.at(i).get({"ip"}).as_string(),
                     host = ingress.at(i).get({"hostname"}).as_string();
    if (!address.empty() && !is_ip(address)) invalid_value(causes, at + ".ip", address, "must be a valid IP address");
    if (!host.empty() && (!is_dns1123_subdomain(host) || is_ip(host)))
      invalid_value(causes, at + ".hostname", host, "must be a DNS name, not an IP address");
  }
}

void check_traffic(const Value& service, Causes& causes) {
  auto one_of = [&](const char* field) {
    std::string policy = text(service, field);
    if (!policy.empty() && policy != "Cluster" && policy != "Local")
      not_supported(causes, fmt::format("spec.{}", field), policy, {"Cluster", "Local"});
  };
  one_of("internalTrafficPolicy");
  one_of("externalTrafficPolicy");
  if (std::string policy = text(service, "externalTrafficPolicy"); !policy.empty() && !is_reached_from_outside(service))
    invalid_value(causes, "spec.externalTrafficPolicy", policy, "may only be set for externally-accessible services");
  if (Value port = service.get({"spec", "healthCheckNodePort"}); port.as_int() != 0 && !has_health_check(service))
    refuse(causes, "spec.healthCheckNodePort", port,
           "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
}

void check_selector(const Value& service, Causes& causes) {
  for (const schema::Member& label : schema::members(service.get({"spec", "selector"}))) {
    if (!is_qualified_name(label.key))
      invalid_value(causes, "spec.selector", label.key, "a label's name must be a qualified name");
    if (!is_label_value(label.value.as_string()))
      invalid_value(causes, "spec.selector", label.value.as_string(),
                    "a valid label must be an empty string or consist of alphanumeric characters");
  }
}

// Of a list whose first item stays for ever and whose second may come and go: what `service` has differently.
void check_list_kept(const Value& service, const Value& old, const char* field, Causes& causes) {
  Value now = service.get({"spec", field}), before = old.get({"spec", field});
  size_t both = std::min(now.size(), before.size());
  if (now.size() != before.size()) both = std::min<size_t>(both, 1);
  for (size_t i = 0; i < both; ++i) {
    if (!now.at(i).equals(before.at(i)))
      refuse(causes, fmt::format("spec.{}[{}]", field, i), now, "may not change once set");
  }
}

void check_update(const Value& service, const Value& old, Causes& causes) {
  bool addressed = !is_external_name(service) && !is_external_name(old);
  if (addressed && !(is_headless(service) && is_headless(old))) {
    check_list_kept(service, old, "clusterIPs", causes);
    check_list_kept(service, old, "ipFamilies", causes);
  }
  if (has_health_check(service) && has_health_check(old))
    immutable(causes, service.get({"spec", "healthCheckNodePort"}), old.get({"spec", "healthCheckNodePort"}),
              "spec.healthCheckNodePort");
  bool balanced = text(service, "type") == "LoadBalancer" && text(old, "type") == "LoadBalancer";
  if (balanced && !same(service, old, "loadBalancerClass"))
    refuse(causes, "spec.loadBalancerClass", service.get({"spec", "loadBalancerClass"}), "may not change once set");
}

}  // namespace

KindHooks service_hooks() {
  KindHooks hooks;
  hooks.name_rule = KindHooks::NameRule::Label1035;
  hooks.spec_bumps_generation = false;
  hooks.defaults = set_defaults;
  hooks.prepare_create = [](Value& service, Arena& arena) {
    Value status = Value::object(arena);
    status.set(arena, "loadBalancer", Value::object(arena));
    service.set(arena, "status", status);
    align_cluster_ips(service, Value(), arena);
  };
  hooks.prepare_update = [](Value& service, const Value& old, Arena& arena) {
    align_cluster_ips(service, old, arena);
    keep_given(service, old, arena);
    drop_leftovers(service, old, arena);
  };
  hooks.validate = [](const Value& service, Causes& causes) {
    check_type(service, causes);
    check_ports(service, causes);
    check_selector(service, causes);
    check_affinity(service, causes);
    check_addresses(service, causes);
    check_traffic(service, causes);
  };
  hooks.validate_update = check_update;
  hooks.validate_status = check_balancer;
  hooks.fields = [](const Value& service) {
    return SelectableFields{{"spec.clusterIP", text(service, "clusterIP")}, {"spec.type", text(service, "type")}};
  };
  hooks.field_labels = {"spec.clusterIP", "spec.type"};
  return hooks;
}

}  // namespace redoubt::apiserver
