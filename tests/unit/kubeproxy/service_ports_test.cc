#include "kubeproxy/service_ports.h"

#include <gtest/gtest.h>

namespace redoubt::kubeproxy {
namespace {

namespace core = k8s::core::v1;
namespace discovery = k8s::discovery::v1;

core::Service service(std::string type = "ClusterIP") {
  core::Service s;
  s.metadata.namespace_ = "shop";
  s.metadata.name = "web";
  s.spec.type = std::move(type);
  s.spec.clusterIP = "10.96.0.10";
  core::ServicePort port;
  port.name = "http";
  port.protocol = "TCP";
  port.port = 80;
  port.nodePort = 30080;
  s.spec.ports.push_back(port);
  return s;
}

discovery::Endpoint endpoint(std::string ip, std::string node, std::optional<bool> ready = true,
                             std::optional<bool> serving = std::nullopt,
                             std::optional<bool> terminating = std::nullopt) {
  discovery::Endpoint e;
  e.addresses = {std::move(ip)};
  e.nodeName = std::move(node);
  e.conditions.ready = ready;
  e.conditions.serving = serving;
  e.conditions.terminating = terminating;
  return e;
}

discovery::EndpointSlice slice(std::vector<discovery::Endpoint> endpoints) {
  discovery::EndpointSlice s;
  s.addressType = "IPv4";
  s.endpoints = std::move(endpoints);
  discovery::EndpointPort port;
  port.name = "http";
  port.protocol = "TCP";
  port.port = 8080;
  s.ports.push_back(port);
  return s;
}

std::vector<std::string> ips(const std::vector<Destination>& list) {
  std::vector<std::string> out;
  for (const Destination& d : list) out.push_back(d.ip);
  return out;
}

using Ips = std::vector<std::string>;
const Place kHere{"here", "z1"};

// A rule's text is made of these: nothing that isn't an address or a port may get that far.
TEST(ServicePorts, WhatIsNoAddressIsLeftOut) {
  auto s = slice({endpoint("10.0.0.2 } ; flush ruleset", "there"), endpoint("fe80::1%eth0", "there"),
                  endpoint("10.0.0.1", "here"), endpoint("2001:db8::1", "there")});
  auto svc = service("LoadBalancer");
  svc.spec.externalIPs = {"192.0.2.1", "192.0.2.1/8 accept"};
  svc.spec.loadBalancerSourceRanges = {"198.51.100.7/24", "0.0.0.0/0 accept\nflush ruleset"};
  k8s::core::v1::LoadBalancerIngress bad;
  bad.ip = "$(reboot)";
  svc.status.loadBalancer.ingress.push_back(bad);
  auto p = service_ports(svc, {&s}, kHere);
  ASSERT_EQ(p.size(), 1U);
  EXPECT_EQ(ips(p[0].cluster), Ips{"10.0.0.1"});
  EXPECT_EQ(p[0].external_ips, Ips{"192.0.2.1"});
  EXPECT_EQ(p[0].source_ranges, Ips{"198.51.100.0/24"});
  EXPECT_TRUE(p[0].load_balancers.empty());
  svc.spec.ports[0].protocol = "TCP }";
  EXPECT_TRUE(service_ports(svc, {&s}, kHere).empty());
  svc = service();
  svc.spec.clusterIP = "10.96.0.10 . tcp";
  EXPECT_TRUE(service_ports(svc, {&s}, kHere).empty());
}

TEST(ServicePorts, LeadsToReadyEndpointsAndKnowsWhichAreLocal) {
  auto s = slice({endpoint("10.0.0.2", "there"), endpoint("10.0.0.1", "here"), endpoint("10.0.0.3", "there", false)});
  auto ports = service_ports(service(), {&s}, kHere);
  ASSERT_EQ(ports.size(), 1U);
  EXPECT_EQ(ports[0].cluster, (std::vector<Destination>{{"10.0.0.1", 8080, true}, {"10.0.0.2", 8080, false}}));
  EXPECT_EQ(ips(ports[0].local), Ips{"10.0.0.1"});
  EXPECT_EQ(ports[0].protocol, "tcp");
  EXPECT_EQ(ports[0].node_port, 0);  // a ClusterIP Service has none, whatever the field says
}

TEST(ServicePorts, FallsBackToWhatServesWhileItTerminates) {
  auto s = slice({endpoint("10.0.0.1", "here", false, true, true), endpoint("10.0.0.2", "there", false, false, true)});
  EXPECT_EQ(ips(service_ports(service(), {&s}, kHere)[0].cluster), Ips{"10.0.0.1"});
  auto with_ready = slice({endpoint("10.0.0.9", "there"), endpoint("10.0.0.1", "here", false, true, true)});
  auto port = service_ports(service(), {&with_ready}, kHere)[0];
  EXPECT_EQ(ips(port.cluster), Ips{"10.0.0.9"});
  EXPECT_EQ(ips(port.local), Ips{"10.0.0.1"});  // of the local ones, none is ready
}

TEST(ServicePorts, HeadlessExternalNameAndForeignProxiesAreLeftAlone) {
  auto s = slice({endpoint("10.0.0.1", "here")});
  auto headless = service();
  headless.spec.clusterIP = "None";
  auto external = service("ExternalName");
  auto foreign = service();
  foreign.metadata.labels["service.kubernetes.io/service-proxy-name"] = "mesh";
  for (const auto& each : {headless, external, foreign}) EXPECT_TRUE(service_ports(each, {&s}, kHere).empty());
}

TEST(ServicePorts, HintsCountOnlyWhenEveryEndpointHasOne) {
  auto near = endpoint("10.0.0.1", "there"), far = endpoint("10.0.0.2", "there"), bare = endpoint("10.0.0.3", "there");
  near.hints.emplace().forZones.emplace_back().name = "z1";
  far.hints.emplace().forZones.emplace_back().name = "z2";
  auto hinted = slice({near, far});
  EXPECT_EQ(ips(service_ports(service(), {&hinted}, kHere)[0].cluster), Ips{"10.0.0.1"});
  EXPECT_EQ(service_ports(service(), {&hinted}, Place{"here", ""})[0].cluster.size(), 2U);
  EXPECT_EQ(service_ports(service(), {&hinted}, Place{"here", "z3"})[0].cluster.size(), 2U);
  auto mixed = slice({near, far, bare});
  EXPECT_EQ(service_ports(service(), {&mixed}, kHere)[0].cluster.size(), 3U);
}

TEST(ServicePorts, AnEndpointInTwoSlicesCountsOnceAndAsTheReadierOne) {
  auto old = slice({endpoint("10.0.0.1", "here", false)}), fresh = slice({endpoint("10.0.0.1", "here")});
  EXPECT_EQ(ips(service_ports(service(), {&old, &fresh}, kHere)[0].cluster), Ips{"10.0.0.1"});
}

TEST(ServicePorts, ReadsPoliciesAffinityAndAddresses) {
  auto s = service("LoadBalancer");
  s.spec.externalTrafficPolicy = "Local";
  s.spec.internalTrafficPolicy = "Local";
  s.spec.healthCheckNodePort = 30999;
  s.spec.sessionAffinity = "ClientIP";
  s.spec.externalIPs = {"192.0.2.1", "2001:db8::1"};
  core::LoadBalancerIngress vip, proxied;
  vip.ip = "192.0.2.9";
  proxied.ip = "192.0.2.10";
  proxied.ipMode = "Proxy";
  s.status.loadBalancer.ingress = {vip, proxied};
  s.spec.loadBalancerSourceRanges = {"198.51.100.0/24"};
  auto port = service_ports(s, {}, kHere)[0];
  EXPECT_TRUE(port.external_local && port.internal_local);
  EXPECT_EQ(port.affinity_seconds, 10800);
  EXPECT_EQ(port.node_port, 30080);
  EXPECT_EQ(port.health_check_node_port, 30999);
  EXPECT_EQ(port.external_ips, Ips{"192.0.2.1"});
  EXPECT_EQ(port.load_balancers, Ips{"192.0.2.9"});
  EXPECT_FALSE(port.any_endpoint);
}

}  // namespace
}  // namespace redoubt::kubeproxy
