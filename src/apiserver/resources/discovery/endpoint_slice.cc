// EndpointSlices: what must fit together. Nodes' proxies and DNS take the addresses as they are.
#include <set>

#include "apiserver/resources/kinds.h"
#include "apiserver/resources/networking/ip_checks.h"

namespace redoubt::apiserver {

namespace {

// Upstream's.
constexpr size_t kMostEndpoints = 1'000, kMostAddresses = 100, kMostPorts = 20'000;

void too_many(Causes& causes, std::string field, size_t have, size_t most) {
  add_cause(causes, "FieldValueTooMany", std::move(field),
            fmt::format("Too many: {}: must have at most {} items", have, most));
}

void check_endpoint(const Value& endpoint, std::string_view type, const std::string& at, Causes& causes) {
  Value addresses = endpoint.get({"addresses"});
  if (addresses.empty()) required(causes, at + ".addresses", "must contain at least 1 address");
  if (addresses.size() > kMostAddresses) too_many(causes, at + ".addresses", addresses.size(), kMostAddresses);
  for (size_t i = 0; i < addresses.size(); ++i) {
    std::string_view text = addresses.at(i).as_string();
    std::string field = fmt::format("{}.addresses[{}]", at, i);
    if (type == "FQDN") {
      std::string_view name = text.ends_with('.') ? text.substr(0, text.size() - 1) : text;
      if (!is_dns1123_subdomain(name) || name.find('.') == std::string_view::npos)
        invalid_value(causes, field, text, "should be a domain with at least two segments separated by dots");
    } else if (!is_ip(text, type == "IPv6")) {
      invalid_value(causes, field, text, fmt::format("must be a valid {} address", type));
    } else {
      check_endpoint_ip(text, field, causes);
    }
  }
  if (std::string_view host = endpoint.get({"hostname"}).as_string(); !host.empty() && !is_dns1123_label(host))
    invalid_value(causes, at + ".hostname", host, kLabelMessage);
  if (std::string_view node = endpoint.get({"nodeName"}).as_string(); !node.empty() && !is_dns1123_subdomain(node))
    invalid_value(causes, at + ".nodeName", node, kSubdomainMessage);
}

void check_ports(const Value& ports, Causes& causes) {
  if (ports.size() > kMostPorts) too_many(causes, "ports", ports.size(), kMostPorts);
  std::set<std::string_view> names;
  for (size_t i = 0; i < ports.size(); ++i) {
    std::string at = fmt::format("ports[{}]", i);
    std::string_view name = ports.at(i).get({"name"}).as_string();
    if (!name.empty() && !is_dns1123_label(name)) invalid_value(causes, at + ".name", name, kLabelMessage);
    if (!names.insert(name).second)
      add_cause(causes, "FieldValueDuplicate", "ports", fmt::format("Duplicate value: \"{}\"", name));
    if (Value number = ports.at(i).get({"port"}); number.is_int() && (number.as_int() < 1 || number.as_int() > 65535))
      add_cause(causes, "FieldValueInvalid", at + ".port",
                fmt::format("Invalid value: {}: must be between 1 and 65535, inclusive", number.as_int()));
    std::string_view protocol = ports.at(i).get({"protocol"}).as_string();
    if (protocol != "TCP" && protocol != "UDP" && protocol != "SCTP")
      not_supported(causes, at + ".protocol", protocol, {"SCTP", "TCP", "UDP"});
  }
}

}  // namespace

KindHooks endpoint_slice_hooks() {
  KindHooks hooks;
  hooks.defaults = [](Value& slice, Arena& arena) {
    for (Value& port : schema::items(slice.get({"ports"}))) {
      set_default(port, arena, "name", Value::string(""));
      set_default(port, arena, "protocol", Value::string("TCP"));
    }
  };
  hooks.validate = [](const Value& slice, Causes& causes) {
    std::string_view type = slice.get({"addressType"}).as_string();
    if (type != "IPv4" && type != "IPv6" && type != "FQDN") {
      not_supported(causes, "addressType", type, {"FQDN", "IPv4", "IPv6"});
      return;
    }
    Value endpoints = slice.get({"endpoints"});
    if (endpoints.size() > kMostEndpoints) too_many(causes, "endpoints", endpoints.size(), kMostEndpoints);
    for (size_t i = 0; i < endpoints.size(); ++i)
      check_endpoint(endpoints.at(i), type, fmt::format("endpoints[{}]", i), causes);
    check_ports(slice.get({"ports"}), causes);
  };
  hooks.validate_update = [](const Value& slice, const Value& old, Causes& causes) {
    immutable(causes, slice.get({"addressType"}), old.get({"addressType"}), "addressType");
  };
  return hooks;
}

}  // namespace redoubt::apiserver
