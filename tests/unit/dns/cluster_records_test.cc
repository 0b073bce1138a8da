#include "dns/cluster_records.h"

#include <gtest/gtest.h>

#include "dns/address.h"

namespace redoubt::dns {
namespace {

namespace core = k8s::core::v1;
namespace discovery = k8s::discovery::v1;

core::Service service(std::string ns, std::string name, std::string ip) {
  core::Service s;
  s.metadata.namespace_ = std::move(ns);
  s.metadata.name = std::move(name);
  s.spec.clusterIP = ip;
  s.spec.clusterIPs = {std::move(ip)};
  core::ServicePort port;
  port.name = "http";
  port.protocol = "TCP";
  port.port = 80;
  s.spec.ports = {port};
  return s;
}

discovery::EndpointSlice slice(std::string ns, std::string of, std::string name,
                               std::vector<std::pair<std::string, std::string>> hosts) {
  discovery::EndpointSlice out;
  out.metadata.namespace_ = std::move(ns);
  out.metadata.name = std::move(name);
  out.metadata.labels["kubernetes.io/service-name"] = std::move(of);
  out.addressType = "IPv4";
  for (auto& [hostname, ip] : hosts) {
    discovery::Endpoint e;
    e.addresses = {ip};
    if (!hostname.empty()) e.hostname = hostname;
    out.endpoints.push_back(e);
  }
  discovery::EndpointPort port;
  port.name = "http";
  port.protocol = "TCP";
  port.port = 8080;
  out.ports = {port};
  return out;
}

class ClusterRecordsTest : public testing::Test {
 protected:
  ClusterRecordsTest() : records_("cluster.local.", {"10.244.0.0/16", "fd00:10::/48"}) {
    core::Service web = service("shop", "web", "10.96.3.4");
    web.spec.clusterIPs = {"10.96.3.4", "fd00:96::34"};
    records_.set_service(web);
    records_.set_slice(slice("shop", "web", "web-a", {{"", "10.244.1.9"}}));
    records_.set_service(service("shop", "db", "None"));
    records_.set_slice(slice("shop", "db", "db-a", {{"db-0", "10.244.1.5"}, {"", "10.244.2.6"}}));
    records_.set_service(service("shop", "empty", "None"));
    core::Service outside = service("shop", "outside", "");
    outside.spec.type = "ExternalName";
    outside.spec.externalName = "www.Example.test.";
    records_.set_service(outside);
    records_.set_ready();
  }
  Lookup ask(std::string_view name, Type type) { return records_.lookup(split_name(name), type); }
  // "TYPE data[:port]", sorted.
  std::vector<std::string> data(std::string_view name, Type type) {
    std::vector<std::string> out;
    for (const Record& r : ask(name, type).answer)
      out.push_back(r.type == Type::SRV ? fmt::format("{}:{}", r.data, r.port) : r.data);
    std::ranges::sort(out);
    return out;
  }
  using V = std::vector<std::string>;
  using O = Lookup::Outcome;
  ClusterRecords records_;
};

TEST_F(ClusterRecordsTest, AServiceHasItsAddressesOfBothFamiliesInAnyCase) {
  EXPECT_EQ(data("web.shop.svc.cluster.local", Type::A), V{"10.96.3.4"});
  EXPECT_EQ(data("WEB.Shop.svc.CLUSTER.local", Type::A), V{"10.96.3.4"});
  EXPECT_EQ(data("web.shop.svc.cluster.local", Type::AAAA), V{"fd00:96::34"});
}

TEST_F(ClusterRecordsTest, NamedPortsHaveSrvRecordsAndUnnamedOnesNone) {
  EXPECT_EQ(data("_http._tcp.web.shop.svc.cluster.local", Type::SRV), V{"web.shop.svc.cluster.local:80"});
  EXPECT_EQ(ask("_http._tcp.web.shop.svc.cluster.local", Type::SRV).additional.size(), 2U);
  EXPECT_EQ(ask("_http._udp.web.shop.svc.cluster.local", Type::SRV).outcome, O::NameError);
  EXPECT_EQ(ask("_tcp.web.shop.svc.cluster.local", Type::SRV).outcome, O::NoData);
  core::Service one = service("shop", "one", "10.96.3.5");
  one.spec.ports[0].name = "";
  records_.set_service(one);
  EXPECT_EQ(ask("_._tcp.one.shop.svc.cluster.local", Type::SRV).outcome, O::NameError);
}

TEST_F(ClusterRecordsTest, AHeadlessServiceLeadsToItsEndpointsAndEachHasAName) {
  EXPECT_EQ(data("db.shop.svc.cluster.local", Type::A), (V{"10.244.1.5", "10.244.2.6"}));
  EXPECT_EQ(data("db-0.db.shop.svc.cluster.local", Type::A), V{"10.244.1.5"});
  EXPECT_EQ(data("10-244-2-6.db.shop.svc.cluster.local", Type::A), V{"10.244.2.6"});
  EXPECT_EQ(data("_http._tcp.db.shop.svc.cluster.local", Type::SRV),
            (V{"10-244-2-6.db.shop.svc.cluster.local:8080", "db-0.db.shop.svc.cluster.local:8080"}));
  EXPECT_EQ(ask("db-1.db.shop.svc.cluster.local", Type::A).outcome, O::NameError);
  EXPECT_EQ(ask("db-0.db.shop.svc.cluster.local", Type::AAAA).outcome, O::NoData);
}

TEST_F(ClusterRecordsTest, AHeadlessServiceWithoutReadyEndpointsHasNoName) {
  EXPECT_EQ(ask("empty.shop.svc.cluster.local", Type::A).outcome, O::NameError);
  auto unready = slice("shop", "empty", "empty-a", {{"e-0", "10.244.1.7"}});
  unready.endpoints[0].conditions.ready = false;
  records_.set_slice(unready);
  EXPECT_EQ(ask("empty.shop.svc.cluster.local", Type::A).outcome, O::NameError);
  unready.endpoints[0].conditions.ready = true;
  records_.set_slice(unready);
  EXPECT_EQ(data("empty.shop.svc.cluster.local", Type::A), V{"10.244.1.7"});
}

TEST_F(ClusterRecordsTest, AddressesLeadBack) {
  EXPECT_EQ(data("4.3.96.10.in-addr.arpa", Type::PTR), V{"web.shop.svc.cluster.local"});
  EXPECT_EQ(data("5.1.244.10.in-addr.arpa", Type::PTR), V{"db-0.db.shop.svc.cluster.local"});
  EXPECT_EQ(data("4.3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.0.d.f.ip6.arpa", Type::PTR),
            V{"web.shop.svc.cluster.local"});
  // A pod's address without a name is denied here; somebody else's is for upstream.
  EXPECT_EQ(ask("99.1.244.10.in-addr.arpa", Type::PTR).outcome, O::NameError);
  EXPECT_EQ(ask("1.2.0.192.in-addr.arpa", Type::PTR).outcome, O::NotOurs);
  records_.remove_service("shop", "db");
  EXPECT_EQ(ask("5.1.244.10.in-addr.arpa", Type::PTR).outcome, O::NameError);
}

TEST_F(ClusterRecordsTest, AnExternalNameIsAnAlias) {
  Lookup found = ask("outside.shop.svc.cluster.local", Type::A);
  EXPECT_EQ(found.outcome, O::Alias);
  EXPECT_EQ(found.answer.at(0).data, "www.example.test");
  EXPECT_EQ(ask("outside.shop.svc.cluster.local", Type::CNAME).outcome, O::Found);
  EXPECT_EQ(ask("x.outside.shop.svc.cluster.local", Type::A).outcome, O::NameError);
}

TEST_F(ClusterRecordsTest, WhatIsOnTheWayToANameIsThereAndWhatIsNotIsDenied) {
  for (const char* name : {"cluster.local", "svc.cluster.local", "shop.svc.cluster.local", "pod.cluster.local"})
    EXPECT_EQ(ask(name, Type::A).outcome, O::NoData) << name;
  for (const char* name :
       {"nope.svc.cluster.local", "nope.shop.svc.cluster.local", "www.example.com.shop.svc.cluster.local",
        "x.web.shop.svc.cluster.local", "example.cluster.local"}) {
    Lookup found = ask(name, Type::A);
    EXPECT_EQ(found.outcome, O::NameError) << name;
    EXPECT_EQ(found.soa.owner, "cluster.local");
  }
  EXPECT_EQ(ask("www.example.com", Type::A).outcome, O::NotOurs);
  EXPECT_EQ(ask("notcluster.local", Type::A).outcome, O::NotOurs);
  EXPECT_EQ(ask("", Type::NS).outcome, O::NotOurs);
}

TEST_F(ClusterRecordsTest, ThePodsOwnNamesNeverMeanAnOutsider) {
  EXPECT_EQ(data("10-244-7-8.shop.pod.cluster.local", Type::A), V{"10.244.7.8"});
  EXPECT_EQ(data("fd00-10--5.shop.pod.cluster.local", Type::AAAA), V{"fd00:10::5"});
  EXPECT_EQ(ask("192-0-2-1.shop.pod.cluster.local", Type::A).outcome, O::NameError);
}

TEST_F(ClusterRecordsTest, TheSchemaHasAVersion) {
  EXPECT_EQ(data("dns-version.cluster.local", Type::TXT), V{"1.1.0"});
}

TEST_F(ClusterRecordsTest, NothingIsDeniedBeforeTheStateIsKnown) {
  ClusterRecords fresh("cluster.local", {"10.244.0.0/16"});
  EXPECT_EQ(fresh.lookup(split_name("web.shop.svc.cluster.local"), Type::A).outcome, O::NotReady);
  EXPECT_EQ(fresh.lookup(split_name("www.example.com"), Type::A).outcome, O::NotOurs);
}

TEST_F(ClusterRecordsTest, ARemovedServiceAndItsSlicesLeaveNothing) {
  records_.remove_service("shop", "web");
  EXPECT_EQ(ask("web.shop.svc.cluster.local", Type::A).outcome, O::NameError);
  EXPECT_TRUE(records_.has_ready_endpoint("shop", "web"));
  records_.remove_slice(slice("shop", "web", "web-a", {}));
  EXPECT_FALSE(records_.has_ready_endpoint("shop", "web"));
}

}  // namespace
}  // namespace redoubt::dns
