#include "networkpolicy/rules.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

#include "nft/nft.h"

namespace redoubt::networkpolicy {
namespace {

const std::vector<std::string> kLocal{"10.244.1.0/24", "fd00:1::/64"};

Policy deny(std::string name = "shop/deny") {
  Policy p;
  p.name = std::move(name);
  p.pods = {"10.244.1.5", "10.244.2.7"};
  p.ingress = true;
  return p;
}

bool has(const std::string& script, std::string_view text) {
  return script.find(text) != std::string::npos;
}

TEST(Rules, ASelectedPodsTrafficIsDroppedUnlessARuleAllowsIt) {
  std::string script = table_script({deny()}, kLocal);
  EXPECT_TRUE(has(script, "ip daddr vmap { 10.244.1.5 : jump to-10-244-1-5 }")) << script;
  EXPECT_TRUE(has(script, "jump policy-1-ingress\n    drop")) << script;
  EXPECT_TRUE(has(script, "ct state established,related accept"));
  EXPECT_FALSE(has(script, "10.244.2.7")) << "another node's pod";
  EXPECT_FALSE(has(script, "from-10-244-1-5")) << "egress is free";
}

TEST(Rules, NothingToRestrictIsNoTable) {
  EXPECT_EQ(table_script({}, kLocal), removal_script());
  Policy elsewhere = deny();
  elsewhere.pods = {"10.244.2.7"};
  EXPECT_EQ(table_script({elsewhere}, kLocal), removal_script());
}

TEST(Rules, SeveralPoliciesAddUp) {
  Policy allow = deny("shop/allow");
  allow.ingress_rules = {{.everybody = true, .any_port = true}};
  std::string script = table_script({deny(), allow}, kLocal);
  EXPECT_TRUE(has(script, "jump policy-1-ingress\n    jump policy-2-ingress\n    drop")) << script;
}

TEST(Rules, PeersAndPortsNarrow) {
  Policy p = deny();
  p.egress = true;
  p.ingress_rules = {{.addresses = {"10.244.3.1"}, .ports = {{"tcp", 80, 80}, {"udp", 1000, 2000}, {"sctp", 0, 0}}}};
  p.egress_rules = {{.blocks = {{"192.0.2.0/24", {"192.0.2.128/25", "192.0.2.1/32"}}}, .any_port = true}};
  std::string script = table_script({p}, kLocal);
  EXPECT_TRUE(has(script, "ip saddr @peers-1 tcp dport 80 accept")) << script;
  EXPECT_TRUE(has(script, "ip saddr @peers-1 udp dport 1000-2000 accept"));
  EXPECT_TRUE(has(script, "ip saddr @peers-1 meta l4proto sctp accept"));
  EXPECT_TRUE(has(script, "ip daddr 192.0.2.0/24 ip daddr != 192.0.2.128/25 ip daddr != 192.0.2.1/32 accept"));
}

TEST(Rules, APortsNameHoldsForTheseTargetsOnly) {
  Policy p = deny();
  p.ingress_rules = {{.everybody = true, .ports = {{"tcp", 8080, 8080}}, .targets = {"10.244.1.5"}}};
  EXPECT_TRUE(has(table_script({p}, kLocal), "ip daddr { 10.244.1.5 } tcp dport 8080 accept"));
}

TEST(Rules, AResolvedPolicySurvivesItsJson) {
  Policy p = deny();
  p.egress = true;
  p.ingress_rules = {{.addresses = {"10.244.3.1", "fd00:1::3"},
                      .blocks = {{"0.0.0.0/0", {"10.0.0.0/8"}}},
                      .ports = {{"tcp", 80, 90}},
                      .targets = {"10.244.1.5"}}};
  p.egress_rules = {{.everybody = true, .any_port = true}};
  auto read = parse_policy(to_json(p));
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, p);
}

TEST(Rules, WhatIsNoAddressNeverBecomesARule) {
  for (const char* bad : {R"({"pods":["10.244.1.5; flush ruleset"]})", R"({"pods":["x"]})",
                          R"({"ingressRules":[{"blocks":[{"cidr":"0.0.0.0/0 accept"}]}]})",
                          R"({"ingressRules":[{"ports":[{"protocol":"tcp accept","first":1,"last":1}]}]})",
                          R"({"ingressRules":[{"ports":[{"protocol":"tcp","first":9,"last":1}]}]})", "nonsense"})
    EXPECT_FALSE(parse_policy(bad)) << bad;
}

// In a network namespace of its own, so that nothing of the machine is touched.
TEST(Rules, NftTakesThem) {
  std::string failure;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) return;
    Policy p = deny();
    p.pods.emplace_back("fd00:1::5");
    p.egress = true;
    p.ingress_rules = {{.addresses = {"10.244.3.1", "fd00:1::3"},
                        .blocks = {{"0.0.0.0/0", {"10.0.0.0/8"}}, {"::/0", {"fd00::/8"}}},
                        .ports = {{"tcp", 80, 90}, {"udp", 53, 53}, {"sctp", 0, 0}},
                        .targets = {"10.244.1.5", "fd00:1::5"}}};
    p.egress_rules = {{.everybody = true, .any_port = true}};
    for (int i = 0; i < 2 && failure.empty(); ++i) {
      auto done = nft::apply(table_script({deny(), p}, kLocal));
      if (!done) failure = done.error().message();
    }
    if (failure.empty()) {
      if (auto done = nft::apply(table_script({}, kLocal)); !done) failure = done.error().message();
    }
    if (failure.empty() && nft::print("list table inet redoubt-policy")) failure = "the table is still there";
  }).join();
  EXPECT_EQ(failure, "");
}

}  // namespace
}  // namespace redoubt::networkpolicy
