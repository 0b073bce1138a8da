// Endpoints: defaults, and what must fit together.
#include "apiserver/resources/kinds.h"
#include "apiserver/resources/networking/ip_checks.h"

namespace redoubt::apiserver {

namespace {

void check_subset(const Value& subset, const std::string& at, Causes& causes) {
  if (subset.get({"addresses"}).empty() && subset.get({"notReadyAddresses"}).empty())
    required(causes, at, "must specify `addresses` or `notReadyAddresses`");
  for (const char* list : {"addresses", "notReadyAddresses"}) {
    Value addresses = subset.get({list});
    for (size_t i = 0; i < addresses.size(); ++i) {
      std::string field = fmt::format("{}.{}[{}]", at, list, i);
      check_endpoint_ip(addresses.at(i).get({"ip"}).as_string(), field + ".ip", causes);
      if (std::string_view host = addresses.at(i).get({"hostname"}).as_string();
          !host.empty() && !is_dns1123_label(host))
        invalid_value(causes, field + ".hostname", host, kLabelMessage);
    }
  }
  Value ports = subset.get({"ports"});
  for (size_t i = 0; i < ports.size(); ++i) {
    std::string field = fmt::format("{}.ports[{}]", at, i);
    std::string_view name = ports.at(i).get({"name"}).as_string(), protocol = ports.at(i).get({"protocol"}).as_string();
    if (name.empty()) {
      if (ports.size() > 1) required(causes, field + ".name");
    } else if (!is_dns1123_label(name)) {
      invalid_value(causes, field + ".name", name, kLabelMessage);
    }
    if (int64_t port = ports.at(i).get({"port"}).as_int(); port < 1 || port > 65535)
      add_cause(causes, "FieldValueInvalid", field + ".port",
                fmt::format("Invalid value: {}: must be between 1 and 65535, inclusive", port));
    if (protocol != "TCP" && protocol != "UDP" && protocol != "SCTP")
      not_supported(causes, field + ".protocol", protocol, {"SCTP", "TCP", "UDP"});
  }
}

}  // namespace

KindHooks endpoints_hooks() {
  KindHooks hooks;
  hooks.spec_bumps_generation = false;
  hooks.defaults = [](Value& endpoints, Arena& arena) {
    for (Value& subset : schema::items(endpoints.get({"subsets"}))) {
      for (Value& port : schema::items(subset.get({"ports"})))
        set_default(port, arena, "protocol", Value::string("TCP"));
    }
  };
  hooks.validate = [](const Value& endpoints, Causes& causes) {
    Value subsets = endpoints.get({"subsets"});
    for (size_t i = 0; i < subsets.size(); ++i) check_subset(subsets.at(i), fmt::format("subsets[{}]", i), causes);
  };
  return hooks;
}

}  // namespace redoubt::apiserver
