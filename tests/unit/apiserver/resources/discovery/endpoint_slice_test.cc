#include <gtest/gtest.h>

#include "apiserver/resources/hooks.h"
#include "schema/codec.h"

namespace redoubt::apiserver {
namespace {

std::string causes(std::string_view group, std::string_view resource, std::string_view json, bool status = false) {
  static Arena arena;
  const KindHooks& hooks = hooks_for(group, resource);
  Value object = *schema::parse_json(arena.copy(json), arena);
  Causes causes;
  if (hooks.defaults != nullptr) hooks.defaults(object, arena);
  (status ? hooks.validate_status : hooks.validate)(object, causes);
  std::string out;
  for (const auto& cause : causes) out += cause.field + ": " + cause.message + "\n";
  return out;
}

TEST(EndpointSlice, HoldsAddressesOfItsTypeAndNothingElse) {
  auto of = [](std::string_view rest) { return causes("discovery.k8s.io", "endpointslices", rest); };
  EXPECT_EQ(of(R"({"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"]}],"ports":[{"port":80}]})"), "");
  EXPECT_EQ(of(R"({"addressType":"FQDN","endpoints":[{"addresses":["a.example.com"]}]})"), "");
  const std::pair<const char*, const char*> cases[] = {
      {R"({"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1 } ; flush ruleset"]}]})",
       "endpoints[0].addresses[0]: Invalid value: \"10.0.0.1 } ; flush ruleset\": must be a valid IPv4 address"},
      {R"({"addressType":"IPv6","endpoints":[{"addresses":["10.0.0.1"]}]})", "must be a valid IPv6 address"},
      {R"({"addressType":"IPv6","endpoints":[{"addresses":["fe80::1%eth0"]}]})", "must be a valid IPv6 address"},
      {R"({"addressType":"IPv4","endpoints":[{"addresses":["127.0.0.1"]}]})", "may not be in the loopback range"},
      {R"({"addressType":"IPv4","endpoints":[{"addresses":[]}]})", "endpoints[0].addresses: Required value"},
      {R"({"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"],"hostname":"A b"}]})",
       "endpoints[0].hostname: "},
      {R"({"addressType":"IPv4","ports":[{"port":0}]})", "ports[0].port: "},
      {R"({"addressType":"IPv4","ports":[{"name":"x"},{"name":"x"}]})", "ports: Duplicate value"},
      {R"({"addressType":"Other"})", "addressType: Unsupported value"},
  };
  for (const auto& [json, says] : cases) EXPECT_NE(of(json).find(says), std::string::npos) << json << "\n" << of(json);
}

TEST(Endpoints, HoldAddressesAndNothingElse) {
  EXPECT_EQ(causes("", "endpoints", R"({"subsets":[{"addresses":[{"ip":"10.0.0.1"}],"ports":[{"port":80}]}]})"), "");
  EXPECT_NE(causes("", "endpoints", R"({"subsets":[{"addresses":[{"ip":"x"}]}]})").find("subsets[0].addresses[0].ip: "),
            std::string::npos);
  EXPECT_NE(causes("", "endpoints", R"({"subsets":[{}]})").find("must specify `addresses` or `notReadyAddresses`"),
            std::string::npos);
}

TEST(PodStatus, HoldsAddressesAndNothingElse) {
  EXPECT_EQ(causes("", "pods", R"({"spec":{},"status":{"podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"}]}})", true), "");
  EXPECT_NE(causes("", "pods", R"({"spec":{},"status":{"podIPs":[{"ip":"10.0.0.1 }"}]}})", true)
                .find("status.podIPs[0].ip: Invalid value"),
            std::string::npos);
  EXPECT_NE(causes("", "services", R"({"spec":{},"status":{"loadBalancer":{"ingress":[{"ip":"x"}]}}})", true)
                .find("status.loadBalancer.ingress[0].ip: Invalid value"),
            std::string::npos);
}

}  // namespace
}  // namespace redoubt::apiserver
