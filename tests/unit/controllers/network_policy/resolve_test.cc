#include "controllers/network_policy/resolve.h"

#include <gtest/gtest.h>

namespace redoubt::controllers {
namespace {

namespace networking = k8s::networking::v1;
using V = std::vector<std::string>;

PolicyPod pod(std::string ns, std::string app, std::string address, uint16_t http = 8080) {
  PolicyPod out;
  out.namespace_ = std::move(ns);
  out.labels = {{"app", std::move(app)}};
  out.addresses = {std::move(address)};
  out.ports = {{"http", "tcp", http}};
  return out;
}

meta::LabelSelector app(std::string name) {
  meta::LabelSelector out;
  if (!name.empty()) out.matchLabels = {{"app", std::move(name)}};
  return out;
}

networking::NetworkPolicyPort port(std::string_view number_or_name) {
  networking::NetworkPolicyPort out;
  out.protocol = "TCP";
  bool number = number_or_name.find_first_not_of("0123456789") == std::string_view::npos;
  out.port = number ? schema::IntOrString::of(std::stoi(std::string(number_or_name)))
                    : schema::IntOrString::of(std::string(number_or_name));
  return out;
}

class Resolve : public testing::Test {
 protected:
  Resolve() {
    policy_.metadata.namespace_ = "shop";
    policy_.metadata.name = "p";
    policy_.spec.podSelector = app("web");
    policy_.spec.policyTypes = {"Ingress", "Egress"};
  }
  networkpolicy::Policy resolved() { return resolve_policy(policy_, pods_, namespaces_); }
  networking::NetworkPolicy policy_;
  std::vector<PolicyPod> pods_{pod("shop", "web", "10.244.0.1"), pod("shop", "web", "10.244.0.2", 9090),
                               pod("shop", "db", "10.244.0.3"), pod("other", "web", "10.244.0.4")};
  std::map<std::string, std::map<std::string, std::string>> namespaces_{{"shop", {{"team", "a"}}},
                                                                        {"other", {{"team", "b"}}}};
};

TEST_F(Resolve, DefaultDenySelectsThePodsOfItsNamespaceAndAllowsNothing) {
  auto p = resolved();
  EXPECT_EQ(p.pods, (V{"10.244.0.1", "10.244.0.2"}));
  EXPECT_TRUE(p.ingress && p.egress);
  EXPECT_TRUE(p.ingress_rules.empty() && p.egress_rules.empty());
}

TEST_F(Resolve, APodSelectorMeansTheOwnNamespaceUnlessNamespacesAreSelected) {
  networking::NetworkPolicyIngressRule rule;
  networking::NetworkPolicyPeer own, others, both;
  own.podSelector = app("db");
  others.namespaceSelector = meta::LabelSelector{};
  others.namespaceSelector->matchLabels = {{"team", "b"}};
  both = others;
  both.podSelector = app("db");
  rule.from = {own};
  policy_.spec.ingress = {rule};
  EXPECT_EQ(resolved().ingress_rules.at(0).addresses, V{"10.244.0.3"});
  policy_.spec.ingress[0].from = {others};
  EXPECT_EQ(resolved().ingress_rules.at(0).addresses, V{"10.244.0.4"});
  // Both must match; nobody does, and nobody is not everybody.
  policy_.spec.ingress[0].from = {both};
  EXPECT_TRUE(resolved().ingress_rules.empty());
}

TEST_F(Resolve, AnEmptyRuleIsForEverybodyAndEveryPort) {
  policy_.spec.ingress = {networking::NetworkPolicyIngressRule{}};
  auto rule = resolved().ingress_rules.at(0);
  EXPECT_TRUE(rule.everybody && rule.any_port);
}

TEST_F(Resolve, PortNamesAreTheReceivingPods) {
  networking::NetworkPolicyIngressRule in;
  in.ports = {port("http")};
  policy_.spec.ingress = {in};
  auto rules = resolved().ingress_rules;
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_EQ(rules[0].ports, (std::vector<networkpolicy::PortRange>{{"tcp", 8080, 8080}}));
  EXPECT_EQ(rules[0].targets, V{"10.244.0.1"});
  EXPECT_EQ(rules[1].targets, V{"10.244.0.2"});
  networking::NetworkPolicyEgressRule out;
  out.ports = {port("http")};
  networking::NetworkPolicyPeer db;
  db.podSelector = app("db");
  out.to = {db};
  policy_.spec.egress = {out};
  auto egress = resolved().egress_rules;
  ASSERT_EQ(egress.size(), 1U);
  EXPECT_EQ(egress[0].addresses, V{"10.244.0.3"});
  // A name that no receiver has allows nothing.
  policy_.spec.egress[0].ports = {port("nope")};
  EXPECT_TRUE(resolved().egress_rules.empty());
}

TEST_F(Resolve, RangesAndBlocksStayAsTheyAre) {
  networking::NetworkPolicyEgressRule out;
  out.ports = {port("1000")};
  out.ports[0].endPort = 2000;
  networking::NetworkPolicyPeer block;
  block.ipBlock = networking::IPBlock{};
  block.ipBlock->cidr = "192.0.2.0/24";
  block.ipBlock->except = {"192.0.2.1/32"};
  out.to = {block};
  policy_.spec.egress = {out};
  auto rule = resolved().egress_rules.at(0);
  EXPECT_EQ(rule.ports, (std::vector<networkpolicy::PortRange>{{"tcp", 1000, 2000}}));
  EXPECT_EQ(rule.blocks.at(0).except, V{"192.0.2.1/32"});
  EXPECT_FALSE(rule.everybody);
}

TEST_F(Resolve, TheHostsPodsAndEndedOnesAreNoPods) {
  core::Pod p;
  p.status.podIP = "192.0.2.1";
  p.spec.hostNetwork = true;
  EXPECT_FALSE(policy_pod(p));
  p.spec.hostNetwork = false;
  EXPECT_TRUE(policy_pod(p));
  p.status.phase = "Succeeded";
  EXPECT_FALSE(policy_pod(p));
}

TEST_F(Resolve, TheNodesDnsStandsForThePodsOfKubeDns) {
  core::Service dns;
  dns.metadata.namespace_ = "kube-system";
  dns.spec.clusterIP = "10.96.0.10";
  pods_.push_back(dns_pod(dns).value());
  namespaces_["kube-system"] = {{"kubernetes.io/metadata.name", "kube-system"}};
  networking::NetworkPolicyEgressRule out;
  networking::NetworkPolicyPeer peer;
  peer.namespaceSelector = meta::LabelSelector{};
  peer.podSelector = meta::LabelSelector{};
  peer.podSelector->matchLabels = {{"k8s-app", "kube-dns"}};
  out.to = {peer};
  policy_.spec.egress = {out};
  EXPECT_EQ(resolved().egress_rules.at(0).addresses, V{"10.96.0.10"});
  dns.spec.selector = {{"k8s-app", "kube-dns"}};
  EXPECT_FALSE(dns_pod(dns));
}

}  // namespace
}  // namespace redoubt::controllers
