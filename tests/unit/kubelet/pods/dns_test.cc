#include "kubelet/pods/dns.h"

#include <gtest/gtest.h>

namespace redoubt::kubelet {
namespace {

namespace core = k8s::core::v1;
using V = std::vector<std::string>;

core::Pod pod(std::string policy) {
  core::Pod out;
  out.metadata.namespace_ = "shop";
  out.spec.dnsPolicy = std::move(policy);
  return out;
}

const net::ResolvConf kNode{{"192.0.2.53", "192.0.2.54"}, {"example.test"}, {"timeout:1"}};

net::ResolvConf of(const core::Pod& p, const std::string& dns = "10.96.0.10") {
  return pod_resolv_conf(p, dns, "cluster.local", kNode);
}

TEST(PodDns, ClusterFirstAsksTheClusterAndSearchesTheNodesDomainsLast) {
  auto conf = of(pod("ClusterFirst"));
  EXPECT_EQ(conf.nameservers, V{"10.96.0.10"});
  EXPECT_EQ(conf.searches, (V{"shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.test"}));
  EXPECT_EQ(conf.options, V{"ndots:5"});
}

TEST(PodDns, TheHostsNetworkHasTheHostsDnsUnlessAskedOtherwise) {
  core::Pod host = pod("ClusterFirst");
  host.spec.hostNetwork = true;
  EXPECT_EQ(of(host).nameservers, kNode.nameservers);
  host.spec.dnsPolicy = "ClusterFirstWithHostNet";
  EXPECT_EQ(of(host).nameservers, V{"10.96.0.10"});
}

TEST(PodDns, WithoutAClusterDnsClusterFirstIsDefault) {
  EXPECT_EQ(of(pod("ClusterFirst"), "").nameservers, kNode.nameservers);
  EXPECT_EQ(of(pod("Default")).searches, kNode.searches);
}

TEST(PodDns, DnsConfigIsAddedAndItsOptionsWin) {
  core::Pod p = pod("ClusterFirst");
  p.spec.dnsConfig = core::PodDNSConfig{};
  p.spec.dnsConfig->nameservers = {"192.0.2.1"};
  p.spec.dnsConfig->searches = {"svc.cluster.local", "more.test"};
  core::PodDNSConfigOption ndots, debug;
  ndots.name = "ndots";
  ndots.value = "2";
  debug.name = "debug";
  p.spec.dnsConfig->options = {ndots, debug};
  auto conf = of(p);
  EXPECT_EQ(conf.nameservers, (V{"10.96.0.10", "192.0.2.1"}));
  EXPECT_EQ(conf.searches.back(), "more.test");
  EXPECT_EQ(std::ranges::count(conf.searches, "svc.cluster.local"), 1);
  EXPECT_EQ(conf.options, (V{"ndots:2", "debug"}));
  p.spec.dnsPolicy = "None";
  EXPECT_EQ(of(p).nameservers, V{"192.0.2.1"});
}

}  // namespace
}  // namespace redoubt::kubelet
