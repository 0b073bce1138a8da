#include "kubeproxy/rules.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

#include "kubeproxy/nftables.h"
#include "nft/nft.h"

namespace redoubt::kubeproxy {
namespace {

ServicePort port(std::string name = "shop/web") {
  ServicePort p;
  p.service = std::move(name);
  p.port_name = "http";
  p.protocol = "tcp";
  p.cluster_ip = "10.96.0.10";
  p.port = 80;
  p.cluster = {{"10.244.0.1", 8080, true}, {"10.244.1.1", 8080, false}};
  p.local = {{"10.244.0.1", 8080, true}};
  p.any_endpoint = true;
  return p;
}

std::string all_rules(const Fragment& f) {
  std::string out;
  for (const auto& [name, rules] : f.chains) out += name + ":\n" + rules;
  return out;
}

const RuleOptions kOptions{.cluster_cidrs = {"10.244.0.0/16"}, .node_port_addresses = {"192.0.2.7"}};

TEST(Rules, AServiceWithoutEndpointsIsRefusedAndOneThatPolicyEmptiesIsDropped) {
  ServicePort p = port();
  p.cluster.clear();
  p.local.clear();
  p.any_endpoint = false;
  auto f = render({p}, Family::IPv4, kOptions);
  EXPECT_EQ(f.elements["no-endpoint-services"]["10.96.0.10 . tcp . 80"], "goto reject-chain");
  EXPECT_FALSE(f.elements.contains("service-ips"));
  p = port();
  p.internal_local = true;
  p.local.clear();
  f = render({p}, Family::IPv4, kOptions);
  EXPECT_EQ(f.elements["no-endpoint-services"]["10.96.0.10 . tcp . 80"], "drop");
}

TEST(Rules, ExternalTrafficIsMasqueradedUnlessThePolicyIsLocal) {
  ServicePort p = port();
  p.node_port = 30080;
  std::string cluster = all_rules(render({p}, Family::IPv4, kOptions));
  EXPECT_NE(cluster.find("jump mark-for-masquerade\ngoto cluster-"), std::string::npos) << cluster;
  p.external_local = true;
  std::string local = all_rules(render({p}, Family::IPv4, kOptions));
  EXPECT_NE(local.find("ip saddr { 10.244.0.0/16 } goto cluster-"), std::string::npos) << local;
  EXPECT_NE(local.find("\ngoto local-"), std::string::npos) << local;
}

TEST(Rules, AnUnchangedServiceMakesNoCommand) {
  auto f = render({port()}, Family::IPv4, kOptions);
  Transaction t(Family::IPv4);
  t.change(f, f);
  EXPECT_TRUE(t.empty());
  EXPECT_EQ(t.script(), "");
}

TEST(Rules, OnlyItsOwnChainIsTouchedWhenAnEndpointChanges) {
  ServicePort p = port();
  auto before = render({p}, Family::IPv4, kOptions);
  p.cluster.push_back({"10.244.2.1", 8080, false});
  Transaction t(Family::IPv4);
  t.change(before, render({p}, Family::IPv4, kOptions));
  EXPECT_EQ(t.script().find("element"), std::string::npos) << t.script();
  EXPECT_NE(t.script().find("numgen random mod 3"), std::string::npos) << t.script();
}

// The kernel is the judge of what nft takes: in a network namespace of the test's own.
class InKernel : public testing::Test {
 protected:
  // Namespaces belong to threads, so each test runs on one of its own.
  static void in_namespace(const std::function<void()>& test) {
    std::thread([&] {
      ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "a network namespace could not be made: run the tests as root";
      test();
    }).join();
  }
  static void install(const Fragment& fragment, Family family, uint32_t generation) {
    Transaction t(family);
    t.change({}, fragment);
    std::string script = table_script(family, kOptions) + t.script() + generation_script(family, 0, generation);
    auto done = nft::apply(script);
    ASSERT_TRUE(done) << done.error().message() << "\n" << script;
  }
  static void change(const Fragment& from, const Fragment& to) {
    Transaction t(Family::IPv4);
    t.change(from, to);
    auto done = nft::apply(t.script());
    ASSERT_TRUE(done) << done.error().message() << "\n" << t.script();
  }
};

std::vector<ServicePort> every_kind() {
  std::vector<ServicePort> out;
  for (const char* protocol : {"tcp", "udp", "sctp"}) {
    for (int affinity : {0, 60}) {
      for (bool local : {false, true}) {
        ServicePort p = port(fmt::format("ns/{}-{}-{}", protocol, affinity, local));
        p.protocol = protocol;
        p.port = static_cast<uint16_t>(1000 + out.size());
        p.node_port = static_cast<uint16_t>(30000 + out.size());
        p.affinity_seconds = affinity;
        p.external_local = p.internal_local = local;
        p.external_ips = {"198.51.100.1"};
        p.load_balancers = {"198.51.100.2"};
        p.source_ranges = {"203.0.113.0/24"};
        out.push_back(p);
      }
    }
  }
  return out;
}

TEST_F(InKernel, TakesEveryKindOfServiceAndEveryWayFromOneToAnother) {
  in_namespace([] {
    std::vector<ServicePort> all = every_kind();
    install(render(all, Family::IPv4, kOptions), Family::IPv4, 7);
    EXPECT_EQ(installed_generation(Family::IPv4), 7U);
    EXPECT_EQ(installed_generation(Family::IPv6), std::nullopt);
    // Each Service becomes each other, loses its endpoints, gets them back, and goes.
    Fragment now = render(all, Family::IPv4, kOptions);
    for (size_t i = 0; i < all.size(); ++i) {
      std::vector<ServicePort> next = all;
      std::rotate(next.begin(), next.begin() + static_cast<ptrdiff_t>(i), next.end());
      for (size_t j = 0; j < next.size(); ++j) {
        next[j].service = all[j].service;
        next[j].affinity_seconds = next[j].affinity_seconds == 0 ? 0 : static_cast<int>(60 + i);
        if ((i + j) % 5 == 0) next[j].cluster.clear();
        if ((i + j) % 3 == 0) next[j].local.clear();
      }
      Fragment then = render(next, Family::IPv4, kOptions);
      change(now, then);
      now = std::move(then);
    }
    change(now, {});
    change({}, render(all, Family::IPv4, kOptions));
    ASSERT_TRUE(nft::apply(removal_script(Family::IPv4)));
    ASSERT_TRUE(nft::apply(removal_script(Family::IPv4)));  // a second time removes nothing and is no error
    EXPECT_EQ(installed_generation(Family::IPv4), std::nullopt);
  });
}

TEST_F(InKernel, TakesIpv6) {
  in_namespace([] {
    std::vector<ServicePort> all = every_kind();
    for (ServicePort& p : all) {
      p.family = Family::IPv6;
      p.cluster_ip = "fd00:96::10";
      p.cluster = {{"fd00:244::1", 8080, true}, {"fd00:244:1::1", 8080, false}};
      p.local = {{"fd00:244::1", 8080, true}};
      p.external_ips = {"2001:db8::1"};
      p.load_balancers = {"2001:db8::2"};
      p.source_ranges = {"2001:db8:1::/64"};
    }
    install(render(all, Family::IPv6, kOptions), Family::IPv6, 9);
    EXPECT_EQ(installed_generation(Family::IPv6), 9U);
  });
}

TEST_F(InKernel, ARefusedTransactionChangesNothing) {
  in_namespace([] {
    install(render({port()}, Family::IPv4, kOptions), Family::IPv4, 3);
    auto done = nft::apply(generation_script(Family::IPv4, 3, 4) + "add rule ip redoubt-proxy no-such-chain drop\n");
    EXPECT_FALSE(done);
    EXPECT_EQ(installed_generation(Family::IPv4), 3U);
  });
}

TEST_F(InKernel, AFlushedTableIsNoticed) {
  in_namespace([] {
    install(render({port()}, Family::IPv4, kOptions), Family::IPv4, 3);
    ASSERT_TRUE(nft::apply("flush ruleset\n"));
    EXPECT_EQ(installed_generation(Family::IPv4), std::nullopt);
  });
}

}  // namespace
}  // namespace redoubt::kubeproxy
