#include <gtest/gtest.h>

#include "apiserver/resources/hooks.h"
#include "schema/codec.h"

namespace redoubt::apiserver {
namespace {

struct Outcome {
  Value service;
  std::string causes;
  std::string spec(std::string_view field) const { return schema::to_json(service.get({"spec", field}), nullptr); }
};

Value parsed(std::string_view spec, Arena& arena) {
  return *schema::parse_json(arena.copy(fmt::format(R"({{"spec":{}}})", spec)), arena);
}

std::string text(const Causes& causes) {
  std::string out;
  for (const auto& cause : causes) out += cause.field + ": " + cause.message + "\n";
  return out;
}

Outcome create(std::string_view spec) {
  static Arena arena;
  const KindHooks& hooks = hooks_for("", "services");
  Outcome out{parsed(spec, arena), ""};
  Causes causes;
  hooks.defaults(out.service, arena);
  hooks.prepare_create(out.service, arena);
  hooks.validate(out.service, causes);
  out.causes = text(causes);
  return out;
}

Outcome update(std::string_view before, std::string_view spec) {
  static Arena arena;
  const KindHooks& hooks = hooks_for("", "services");
  Value old = create(before).service;
  Outcome out{parsed(spec, arena), ""};
  Causes causes;
  out.service.set(arena, "status", old.get({"status"}));
  hooks.defaults(out.service, arena);
  hooks.prepare_update(out.service, old, arena);
  hooks.validate(out.service, causes);
  hooks.validate_update(out.service, old, causes);
  out.causes = text(causes);
  return out;
}

constexpr std::string_view kPorts = R"("ports":[{"port":80}])";
std::string with_ports(std::string_view more) {
  return fmt::format("{{{},{}}}", kPorts, more);
}

TEST(Service, WhatIsLeftOutIsFilledIn) {
  Outcome plain = create(with_ports(R"("sessionAffinity":"ClientIP")"));
  EXPECT_EQ(plain.causes, "");
  EXPECT_EQ(plain.spec("type"), "\"ClusterIP\"");
  EXPECT_EQ(plain.spec("sessionAffinityConfig"), R"({"clientIP":{"timeoutSeconds":10800}})");
  EXPECT_EQ(plain.spec("internalTrafficPolicy"), "\"Cluster\"");
  EXPECT_EQ(plain.spec("externalTrafficPolicy"), "null");
  EXPECT_EQ(create(with_ports(R"("externalIPs":["192.0.2.7"])")).spec("externalTrafficPolicy"), "\"Cluster\"");
  EXPECT_EQ(create(with_ports(R"("type":"LoadBalancer")")).spec("allocateLoadBalancerNodePorts"), "true");
  EXPECT_EQ(create(with_ports(R"("clusterIP":"None")")).spec("clusterIPs"), R"(["None"])");
}

TEST(Service, WhatDoesNotFitTogetherIsNamed) {
  const std::pair<std::string, const char*> cases[] = {
      {"{}", "spec.ports: Required value"},
      {with_ports(R"("type":"Other")"), "spec.type: Unsupported value: \"Other\""},
      {with_ports(R"("type":"NodePort","clusterIP":"None")"),
       "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"},
      {with_ports(R"("type":"ExternalName","externalName":"a.example","clusterIP":"10.96.0.9")"),
       "spec.clusterIPs: Forbidden: may not be set for ExternalName services"},
      {R"({"type":"ExternalName"})", "spec.externalName: Required value"},
      {with_ports(R"("externalTrafficPolicy":"Local")"), "may only be set for externally-accessible services"},
      {with_ports(R"("type":"NodePort","healthCheckNodePort":30001)"),
       "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"},
      {with_ports(R"("loadBalancerClass":"a.example/b")"), "may only be used when `type` is 'LoadBalancer'"},
      {R"({"ports":[{"port":80,"nodePort":30001}]})",
       "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"},
      {R"({"type":"NodePort","ports":[{"name":"a","port":80,"nodePort":30001},{"name":"b","port":81,"nodePort":30001}]})",
       "spec.ports[1].nodePort: Duplicate value: 30001"},
      {R"({"ports":[{"name":"a","port":80},{"name":"a","port":81}]})", "spec.ports[1].name: Duplicate value: \"a\""},
      {R"({"ports":[{"name":"a","port":80},{"name":"b","port":80}]})",
       R"(spec.ports[1]: Duplicate value: {"port":80,"protocol":"TCP"})"},
      {R"({"ports":[{"port":80},{"name":"b","port":81}]})", "spec.ports[0].name: Required value"},
      {R"({"ports":[{"port":0}]})", "spec.ports[0].port: Invalid value: 0"},
      {R"({"ports":[{"port":80,"targetPort":"-x"}]})", "spec.ports[0].targetPort: Invalid value"},
      {with_ports(R"("externalIPs":["127.0.0.1"])"), "may not be in the loopback range"},
      {with_ports(R"("sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":0}})"),
       "must be greater than 0 and less than 86400"},
  };
  for (const auto& [spec, says] : cases)
    EXPECT_NE(create(spec).causes.find(says), std::string::npos) << spec << "\n" << create(spec).causes;
  EXPECT_EQ(
      create(R"({"ports":[{"name":"a","port":53,"protocol":"TCP"},{"name":"b","port":53,"protocol":"UDP"}]})").causes,
      "");
}

constexpr std::string_view kGiven =
    R"({"type":"NodePort","clusterIP":"10.96.0.5","clusterIPs":["10.96.0.5"],"ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack",
        "ports":[{"name":"a","port":80,"nodePort":30001},{"name":"b","port":81,"nodePort":30002}]})";

TEST(Service, AnUpdateKeepsWhatTheServerGave) {
  Outcome out = update(kGiven, R"({"type":"NodePort","ports":[{"name":"b","port":91},{"name":"c","port":92}]})");
  EXPECT_EQ(out.causes, "");
  EXPECT_EQ(out.spec("clusterIPs"), R"(["10.96.0.5"])");
  EXPECT_EQ(out.service.get({"spec", "ports"}).at(0).get({"nodePort"}).as_int(), 30002);
  EXPECT_FALSE(out.service.get({"spec", "ports"}).at(1).has("nodePort"));
}

TEST(Service, AnAddressDoesNotChange) {
  EXPECT_NE(update(kGiven, R"({"type":"NodePort","clusterIP":"10.96.0.6","ports":[{"port":80}]})")
                .causes.find(R"(spec.clusterIPs[0]: Invalid value: ["10.96.0.6"]: may not change once set)"),
            std::string::npos);
  EXPECT_NE(update(kGiven, R"({"type":"ClusterIP","clusterIP":"None","ports":[{"port":80}]})")
                .causes.find("may not change once set"),
            std::string::npos);
}

TEST(Service, AChangeOfTypeTakesLeftoversAlong) {
  std::string same(kGiven);
  auto as = [&](std::string_view type, std::string_view more = "") {
    std::string out = same;
    out.replace(out.find("NodePort"), 8, type);
    out.insert(out.size() - 1, more);
    return out;
  };
  Outcome plain = update(same, as("ClusterIP", R"(,"externalTrafficPolicy":"Cluster")"));
  EXPECT_EQ(plain.causes, "");
  EXPECT_EQ(plain.spec("externalTrafficPolicy"), "null");
  EXPECT_FALSE(plain.service.get({"spec", "ports"}).at(0).has("nodePort"));
  Outcome name = update(same, as("ExternalName", R"(,"externalName":"a.example","internalTrafficPolicy":"Cluster")"));
  EXPECT_EQ(name.spec("clusterIPs") + name.spec("clusterIP") + name.spec("ipFamilies"), "nullnullnull");
  // A new number with a type that has none is a mistake, not a leftover.
  std::string wrong = as("ClusterIP");
  wrong.replace(wrong.find("30001"), 5, "30009");
  EXPECT_NE(update(same, wrong).causes.find("may not be used when `type` is 'ClusterIP'"), std::string::npos);
}

TEST(Service, ALoadBalancersStateEndsWithIt) {
  std::string before =
      R"({"type":"LoadBalancer","clusterIP":"10.96.0.5","externalTrafficPolicy":"Local","healthCheckNodePort":30007,"ports":[{"port":80}]})";
  Outcome kept = update(before, R"({"type":"LoadBalancer","externalTrafficPolicy":"Local","ports":[{"port":80}]})");
  EXPECT_EQ(kept.spec("healthCheckNodePort"), "30007");
  EXPECT_NE(
      update(
          before,
          R"({"type":"LoadBalancer","externalTrafficPolicy":"Local","healthCheckNodePort":30008,"ports":[{"port":80}]})")
          .causes.find("spec.healthCheckNodePort: Invalid value: 30008: field is immutable"),
      std::string::npos);
  Outcome gone = update(
      before,
      R"({"type":"ClusterIP","externalTrafficPolicy":"Local","healthCheckNodePort":30007,"allocateLoadBalancerNodePorts":true,"ports":[{"port":80}]})");
  EXPECT_EQ(gone.causes, "");
  EXPECT_EQ(gone.spec("healthCheckNodePort") + gone.spec("allocateLoadBalancerNodePorts"), "nullnull");
}

}  // namespace
}  // namespace redoubt::apiserver
