#include "podnetwork/plan.h"

#include <gtest/gtest.h>

#include "podnetwork/keys.h"
#include "podnetwork/plain.h"

namespace redoubt::podnetwork {
namespace {

namespace core = k8s::core::v1;
using namespace std::chrono_literals;

core::Node node(std::string name, std::string cidr, std::string address, int age = 0) {
  core::Node out;
  out.metadata.name = std::move(name);
  out.metadata.creationTimestamp.at = Timestamp(std::chrono::hours(1000 - age));
  out.spec.podCIDR = cidr;
  out.spec.podCIDRs = {std::move(cidr)};
  core::NodeAddress internal;
  internal.type = "InternalIP";
  internal.address = std::move(address);
  out.status.addresses = {internal};
  out.metadata.annotations[kKeyAnnotation] = make_key().public_key;
  return out;
}

Plan plan(const std::vector<core::Node>& nodes, const std::string& own = "a") {
  std::vector<const core::Node*> all;
  for (const auto& n : nodes) all.push_back(&n);
  return make_plan(all, own, {"10.244.0.0/16"});
}

TEST(Plan, EveryOtherNodeIsAPeerWithItsOwnNetwork) {
  Plan p = plan({node("a", "10.244.0.0/24", "192.0.2.1"), node("b", "10.244.1.0/24", "192.0.2.2")});
  EXPECT_EQ(p.own_cidrs, std::vector<std::string>{"10.244.0.0/24"});
  ASSERT_EQ(p.peers.size(), 1U);
  EXPECT_EQ(p.peers[0].node, "b");
  EXPECT_EQ(p.peers[0].endpoint, "192.0.2.2:51820");
  EXPECT_TRUE(p.left_out.empty());
}

TEST(Plan, ANodeCantDrawWhatIsOutsideTheClusterOrAnOlderNodes) {
  core::Node thief = node("thief", "10.244.1.0/25", "192.0.2.9");
  core::Node outside = node("outside", "0.0.0.0/0", "192.0.2.8");
  Plan p = plan({node("a", "10.244.0.0/24", "192.0.2.1"), thief, node("victim", "10.244.1.0/24", "192.0.2.2", 5),
                 outside, node("me-too", "10.244.0.128/25", "192.0.2.7", 100)});
  ASSERT_EQ(p.peers.size(), 1U);
  EXPECT_EQ(p.peers[0].node, "victim");
  EXPECT_EQ(p.left_out.size(), 3U);
}

TEST(Plan, AKeyThatIsNoneOrAnotherNodesIsNotUsed) {
  core::Node bad = node("bad", "10.244.1.0/24", "192.0.2.2");
  bad.metadata.annotations[kKeyAnnotation] = "x\nEndpoint = 192.0.2.66:1";
  core::Node first = node("first", "10.244.2.0/24", "192.0.2.3", 5), copy = node("copy", "10.244.3.0/24", "192.0.2.4");
  copy.metadata.annotations = first.metadata.annotations;
  Plan p = plan({node("a", "10.244.0.0/24", "192.0.2.1"), bad, first, copy});
  std::string config = wireguard_config(p, "private", 51820, 0s);
  EXPECT_EQ(config.find("192.0.2.66"), std::string::npos);
  EXPECT_NE(config.find("10.244.2.0/24"), std::string::npos);
  EXPECT_EQ(config.find("10.244.3.0/24"), std::string::npos);
  EXPECT_EQ(p.left_out.size(), 2U);
}

TEST(Plan, BehindNatANodeHasNoEndpointAndKeepsTheWayOpen) {
  core::Node behind = node("b", "10.244.1.0/24", "192.168.7.7");
  behind.metadata.annotations[kEndpointAnnotation] = "nat";
  Plan p = plan({node("a", "10.244.0.0/24", "192.0.2.1"), behind});
  std::string config = wireguard_config(p, "private", 51820, 25s);
  EXPECT_EQ(config.find("Endpoint"), std::string::npos) << config;
  EXPECT_NE(config.find("PersistentKeepalive = 25"), std::string::npos);
}

TEST(Plan, EndpointsAreAddressesNeverNames) {
  core::Node named = node("b", "10.244.1.0/24", "192.0.2.2");
  named.metadata.annotations[kEndpointAnnotation] = "evil.example:51820";
  EXPECT_EQ(plan({node("a", "10.244.0.0/24", "192.0.2.1"), named}).peers.at(0).endpoint, "192.0.2.2:51820");
  named.metadata.annotations[kEndpointAnnotation] = "[2001:db8::1]:7";
  EXPECT_EQ(plan({node("a", "10.244.0.0/24", "192.0.2.1"), named}).peers.at(0).endpoint, "[2001:db8::1]:7");
}

TEST(Plan, NatIsLikelyForAPrivateAddressWithAPublicServer) {
  EXPECT_TRUE(likely_behind_nat("192.168.1.5", "203.0.113.9"));
  EXPECT_FALSE(likely_behind_nat("192.168.1.5", "192.168.1.1"));
  EXPECT_FALSE(likely_behind_nat("203.0.113.5", "203.0.113.9"));
  EXPECT_FALSE(likely_behind_nat("192.168.1.5", ""));
}

TEST(Plain, CommandsLeadToEachPeer) {
  Plan p = plan({node("a", "10.244.0.0/24", "192.0.2.1"), node("b", "10.244.1.0/24", "192.0.2.2")});
  EXPECT_EQ(route_commands(p).ip, std::set<std::string>{"route replace 10.244.1.0/24 via 192.0.2.2"});
  PlainCommands vxlan = vxlan_commands(p, "vx0");
  EXPECT_TRUE(vxlan.bridge.contains("fdb replace 0a:58:0a:f4:01:00 dev vx0 dst 192.0.2.2"));
  EXPECT_TRUE(vxlan.ip.contains("route replace 10.244.1.0/24 via 10.244.1.0 dev vx0 onlink"));
}

}  // namespace
}  // namespace redoubt::podnetwork
