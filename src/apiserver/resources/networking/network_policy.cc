// NetworkPolicies: defaults and what must fit together.
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

#include "apiserver/resources/kinds.h"

namespace redoubt::apiserver {

namespace {

namespace ip = boost::asio::ip;

bool parse_network(std::string_view text, bool& v6, ip::network_v4& four, ip::network_v6& six) {
  boost::system::error_code error;
  v6 = text.find(':') != std::string_view::npos;
  if (v6) {
    six = ip::make_network_v6(std::string(text), error);
  } else {
    four = ip::make_network_v4(std::string(text), error);
  }
  return !error;
}

void validate_block(const Value& block, const std::string& at, Causes& causes) {
  bool v6 = false;
  ip::network_v4 four;
  ip::network_v6 six;
  std::string_view cidr = block.get({"cidr"}).as_string();
  if (cidr.empty()) {
    required(causes, at + ".cidr");
    return;
  }
  if (!parse_network(cidr, v6, four, six)) {
    invalid_value(causes, at + ".cidr", cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
    return;
  }
  Value except = block.get({"except"});
  for (size_t i = 0; i < except.size(); ++i) {
    std::string field = fmt::format("{}.except[{}]", at, i);
    std::string_view text = except.at(i).as_string();
    bool part_v6 = false;
    ip::network_v4 part_four;
    ip::network_v6 part_six;
    if (!parse_network(text, part_v6, part_four, part_six)) {
      invalid_value(causes, field, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
    } else if (part_v6 != v6 || !(v6 ? part_six.canonical().is_subnet_of(six.canonical())
                                     : part_four.canonical().is_subnet_of(four.canonical()))) {
      invalid_value(causes, field, text, "must be a strict subset of `cidr`");
    }
  }
}

void validate_ports(const Value& ports, const std::string& at, Causes& causes) {
  for (size_t i = 0; i < ports.size(); ++i) {
    std::string field = fmt::format("{}[{}]", at, i);
    const Value& port = ports.at(i);
    std::string_view protocol = port.get({"protocol"}).as_string();
    if (protocol != "TCP" && protocol != "UDP" && protocol != "SCTP")
      not_supported(causes, field + ".protocol", protocol, {"SCTP", "TCP", "UDP"});
    Value number = port.get({"port"}), last = port.get({"endPort"});
    if (number.is_int() && (number.as_int() < 1 || number.as_int() > 65535))
      add_cause(causes, "FieldValueInvalid", field + ".port",
                fmt::format("Invalid value: {}: must be between 1 and 65535, inclusive", number.as_int()));
    if (!last.is_int()) continue;
    if (number.is_string()) {
      add_cause(causes, "FieldValueInvalid", field + ".endPort",
                fmt::format("Invalid value: {}: may not be specified when `port` is non-numeric", last.as_int()));
    } else if (!number.is_int()) {
      add_cause(causes, "FieldValueInvalid", field + ".endPort",
                fmt::format("Invalid value: {}: may not be specified when `port` is not specified", last.as_int()));
    } else if (last.as_int() < number.as_int() || last.as_int() > 65535) {
      add_cause(causes, "FieldValueInvalid", field + ".endPort",
                fmt::format("Invalid value: {}: must be greater than or equal to `port`", last.as_int()));
    }
  }
}

void validate_peers(const Value& peers, const std::string& at, Causes& causes) {
  for (size_t i = 0; i < peers.size(); ++i) {
    std::string field = fmt::format("{}[{}]", at, i);
    const Value& peer = peers.at(i);
    bool pods = peer.get({"podSelector"}).is_object(), namespaces = peer.get({"namespaceSelector"}).is_object();
    bool block = peer.get({"ipBlock"}).is_object();
    if (!pods && !namespaces && !block) required(causes, field, "must specify a peer");
    if (block && (pods || namespaces))
      add_cause(causes, "FieldValueForbidden", field, "Forbidden: may not specify both ipBlock and another peer");
    if (pods) validate_label_selector(peer.get({"podSelector"}), field + ".podSelector", causes);
    if (namespaces) validate_label_selector(peer.get({"namespaceSelector"}), field + ".namespaceSelector", causes);
    if (block) validate_block(peer.get({"ipBlock"}), field + ".ipBlock", causes);
  }
}

}  // namespace

KindHooks network_policy_hooks() {
  KindHooks hooks;
  hooks.defaults = [](Value& policy, Arena& arena) {
    Value& spec = policy.object_at(arena, "spec");
    for (const char* direction : {"ingress", "egress"}) {
      for (Value& rule : schema::items(spec.get({direction}))) {
        for (Value& port : schema::items(rule.get({"ports"})))
          set_default(port, arena, "protocol", Value::string("TCP"));
      }
    }
    if (spec.get({"policyTypes"}).empty()) {
      Value types = Value::array(arena);
      types.push_back(arena, Value::string("Ingress"));
      if (!spec.get({"egress"}).empty()) types.push_back(arena, Value::string("Egress"));
      spec.set(arena, "policyTypes", types);
    }
  };
  hooks.validate = [](const Value& policy, Causes& causes) {
    Value spec = policy.get({"spec"});
    validate_label_selector(spec.get({"podSelector"}), "spec.podSelector", causes);
    for (auto [direction, side] : {std::pair{"ingress", "from"}, std::pair{"egress", "to"}}) {
      Value rules = spec.get({direction});
      for (size_t i = 0; i < rules.size(); ++i) {
        std::string at = fmt::format("spec.{}[{}]", direction, i);
        validate_ports(rules.at(i).get({"ports"}), at + ".ports", causes);
        validate_peers(rules.at(i).get({side}), at + "." + side, causes);
      }
    }
    Value types = spec.get({"policyTypes"});
    if (types.size() > 2) {
      add_cause(causes, "FieldValueInvalid", "spec.policyTypes",
                "Invalid value: may not specify more than two policyTypes");
      return;
    }
    for (size_t i = 0; i < types.size(); ++i) {
      std::string_view type = types.at(i).as_string();
      if (type != "Ingress" && type != "Egress")
        not_supported(causes, fmt::format("spec.policyTypes[{}]", i), type, {"Egress", "Ingress"});
    }
  };
  return hooks;
}

}  // namespace redoubt::apiserver
