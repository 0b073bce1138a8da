// ServiceCIDRs and IPAddresses: the networks that Services' addresses come from, and the addresses that are given.
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

#include "apiserver/resources/kinds.h"

namespace redoubt::apiserver {

namespace {

namespace ip = boost::asio::ip;

bool is_canonical_network(const std::string& text) {
  boost::system::error_code error;
  if (text.find(':') != std::string::npos) {
    auto network = ip::make_network_v6(text, error);
    return !error && network.canonical() == network && network.to_string() == text;
  }
  auto network = ip::make_network_v4(text, error);
  return !error && network.canonical() == network && network.to_string() == text;
}

bool is_canonical_address(const std::string& text) {
  boost::system::error_code error;
  auto address = ip::make_address(text, error);
  return !error && address.to_string() == text;
}

}  // namespace

KindHooks service_cidr_hooks() {
  KindHooks hooks;
  hooks.spec_bumps_generation = false;
  hooks.validate = [](const Value& object, Causes& causes) {
    Value cidrs = object.get({"spec", "cidrs"});
    if (cidrs.empty()) {
      required(causes, "spec.cidrs", "at least one CIDR required");
      return;
    }
    if (cidrs.size() > 2) {
      add_cause(causes, "FieldValueInvalid", "spec.cidrs",
                fmt::format("Invalid value: may only hold up to 2 values, not {}", cidrs.size()));
      return;
    }
    for (size_t i = 0; i < cidrs.size(); ++i) {
      std::string text(cidrs.at(i).as_string());
      if (!is_canonical_network(text))
        invalid_value(causes, fmt::format("spec.cidrs[{}]", i), text,
                      "must be a valid CIDR value in canonical form, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
    }
    auto v6 = [&](size_t i) { return cidrs.at(i).as_string().find(':') != std::string_view::npos; };
    if (cidrs.size() == 2 && v6(0) == v6(1))
      add_cause(
          causes, "FieldValueInvalid", "spec.cidrs",
          "Invalid value: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64");
  };
  hooks.validate_update = [](const Value& object, const Value& old, Causes& causes) {
    Value now = object.get({"spec", "cidrs"}), before = old.get({"spec", "cidrs"});
    // One may become two, of both families.
    if (before.size() == 1 && now.size() == 2) {
      immutable(causes, now.at(0), before.at(0), "spec.cidrs[0]");
      return;
    }
    immutable(causes, now, before, "spec.cidrs");
  };
  return hooks;
}

KindHooks ip_address_hooks() {
  KindHooks hooks;
  hooks.name_rule = KindHooks::NameRule::PathSegment;
  hooks.spec_bumps_generation = false;
  hooks.validate = [](const Value& object, Causes& causes) {
    std::string name(object.get({"metadata", "name"}).as_string());
    if (!is_canonical_address(name))
      invalid_value(causes, "metadata.name", name, "must be a valid IP address in canonical form");
    Value parent = object.get({"spec", "parentRef"});
    if (!parent.is_object()) {
      required(causes, "spec.parentRef");
      return;
    }
    if (parent.get({"resource"}).as_string().empty()) required(causes, "spec.parentRef.resource");
    if (parent.get({"name"}).as_string().empty()) required(causes, "spec.parentRef.name");
  };
  hooks.validate_update = [](const Value& object, const Value& old, Causes& causes) {
    immutable(causes, object.get({"spec", "parentRef"}), old.get({"spec", "parentRef"}), "spec.parentRef");
  };
  return hooks;
}

}  // namespace redoubt::apiserver
