#include <gtest/gtest.h>

#include "apiserver/resources/hooks.h"
#include "schema/codec.h"

namespace redoubt::apiserver {
namespace {

struct Outcome {
  std::string json, causes;
};

Outcome admit(std::string_view spec) {
  static Arena arena;
  const KindHooks& hooks = hooks_for("networking.k8s.io", "networkpolicies");
  Value policy = *schema::parse_json(arena.copy(fmt::format(R"({{"spec":{}}})", spec)), arena);
  Causes causes;
  hooks.defaults(policy, arena);
  hooks.validate(policy, causes);
  Outcome out;
  for (const Value& type : schema::items(policy.get({"spec", "policyTypes"}))) out.json += type.as_string();
  for (const auto& cause : causes) out.causes += cause.field + ": " + cause.message + "\n";
  return out;
}

TEST(NetworkPolicy, WhoNamesNoTypeRestrictsIngressAndEgressWhereThereAreRules) {
  EXPECT_EQ(admit(R"({"podSelector":{}})").json, "Ingress");
  EXPECT_EQ(admit(R"({"podSelector":{},"egress":[{}]})").json, "IngressEgress");
  EXPECT_EQ(admit(R"({"podSelector":{},"policyTypes":["Egress"]})").json, "Egress");
}

TEST(NetworkPolicy, WhatDoesNotFitTogetherIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"ingress":[{"from":[{}]}]})", "spec.ingress[0].from[0]: "},
      {R"({"ingress":[{"from":[{"podSelector":{},"ipBlock":{"cidr":"10.0.0.0/8"}}]}]})",
       "may not specify both ipBlock and another peer"},
      {R"({"egress":[{"to":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["192.168.0.0/16"]}}]}]})",
       "spec.egress[0].to[0].ipBlock.except[0]: "},
      {R"({"egress":[{"to":[{"ipBlock":{"cidr":"x"}}]}]})", "must be a valid CIDR value"},
      {R"({"ingress":[{"ports":[{"port":"http","endPort":80}]}]})", "when `port` is non-numeric"},
      {R"({"ingress":[{"ports":[{"port":90,"endPort":80}]}]})", "must be greater than or equal to `port`"},
      {R"({"ingress":[{"ports":[{"port":0}]}]})", "must be between 1 and 65535"},
      {R"({"ingress":[{"ports":[{"protocol":"ICMP"}]}]})", "spec.ingress[0].ports[0].protocol"},
      {R"({"policyTypes":["Both"]})", "spec.policyTypes[0]"},
  };
  for (const auto& [spec, why] : cases)
    EXPECT_NE(admit(spec).causes.find(why), std::string::npos) << spec << "\n" << admit(spec).causes;
  EXPECT_EQ(
      admit(
          R"({"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.0.0/16"]}}],"ports":[{"port":80,"endPort":90}]}]})")
          .causes,
      "");
}

}  // namespace
}  // namespace redoubt::apiserver
