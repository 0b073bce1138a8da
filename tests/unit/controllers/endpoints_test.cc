#include <gtest/gtest.h>

#include "controllers/endpoints/backends.h"
#include "controllers/endpoints/slices.h"

namespace redoubt::controllers {
namespace {

PodPtr pod(int n, bool ready = true, bool deleting = false) {
  auto out = std::make_shared<core::Pod>();
  out->metadata.namespace_ = "ns";
  out->metadata.name = fmt::format("p{}", n);
  out->metadata.uid = fmt::format("uid-{}", n);
  out->metadata.labels = {{"app", "web"}};
  if (deleting) out->metadata.deletionTimestamp = schema::Time::now();
  out->spec.nodeName = "node";
  auto& port = out->spec.containers.emplace_back().ports.emplace_back();
  port.name = "http";
  port.containerPort = 8080 + n % 2;
  out->status.phase = "Running";
  out->status.podIP = fmt::format("10.0.{}.{}", n / 250, n % 250 + 1);
  out->status.podIPs.emplace_back().ip = out->status.podIP;
  auto& condition = out->status.conditions.emplace_back();
  condition.type = "Ready";
  condition.status = ready ? "True" : "False";
  return out;
}

core::Service service() {
  core::Service out;
  out.metadata.namespace_ = "ns";
  out.metadata.name = "web";
  out.spec.selector = {{"app", "web"}};
  out.spec.clusterIP = "10.96.0.9";
  out.spec.ipFamilies = {"IPv4"};
  auto& port = out.spec.ports.emplace_back();
  port.port = 80;
  port.protocol = "TCP";
  port.targetPort = schema::IntOrString::of(8080);
  return out;
}

std::string no_zone(const std::string&) {
  return "";
}

SlicePtr slice(const discovery::EndpointSlice& from, std::string name) {
  auto out = std::make_shared<discovery::EndpointSlice>(from);
  out->metadata.name = std::move(name);
  out->metadata.resourceVersion = "1";
  return out;
}

TEST(EndpointGroups, SayReadyServingAndTerminating) {
  auto groups = group_endpoints(service(), {pod(2), pod(4, false), pod(6, true, true)}, no_zone);
  ASSERT_EQ(groups.size(), 1u);
  ASSERT_EQ(groups[0].endpoints.size(), 3u);
  auto conditions = [&](size_t i) {
    const auto& c = groups[0].endpoints[i].conditions;
    return std::make_tuple(*c.ready, *c.serving, *c.terminating);
  };
  EXPECT_EQ(conditions(0), std::make_tuple(true, true, false));
  EXPECT_EQ(conditions(1), std::make_tuple(false, false, false));
  EXPECT_EQ(conditions(2), std::make_tuple(false, true, true));
  core::Service all = service();
  all.spec.publishNotReadyAddresses = true;
  EXPECT_TRUE(*group_endpoints(all, {pod(4, false)}, no_zone)[0].endpoints[0].conditions.ready);
}

TEST(EndpointGroups, NamedPortsSplitPodsByWhatTheirNameMeans) {
  core::Service s = service();
  s.spec.ports[0].targetPort = schema::IntOrString::of(std::string("http"));
  auto groups = group_endpoints(s, {pod(1), pod(2), pod(3)}, no_zone);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(*groups[0].ports[0].port, 8080);
  EXPECT_EQ(groups[0].endpoints.size(), 1u);
  EXPECT_EQ(*groups[1].ports[0].port, 8081);
  EXPECT_EQ(groups[1].endpoints.size(), 2u);
}

TEST(EndpointGroups, DualStackHasAGroupOfEachFamilyEvenWithoutPods) {
  core::Service s = service();
  s.spec.ipFamilies = {"IPv4", "IPv6"};
  auto both = std::make_shared<core::Pod>(*pod(2));
  both->status.podIPs.emplace_back().ip = "fd00::2";
  auto groups = group_endpoints(s, {both}, no_zone);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].endpoints[0].addresses[0], both->status.podIP);
  EXPECT_EQ(groups[1].address_type, "IPv6");
  EXPECT_EQ(groups[1].endpoints[0].addresses[0], "fd00::2");
  EXPECT_EQ(group_endpoints(s, {}, no_zone).size(), 2u);
}

TEST(EndpointGroups, HintsOnlyWhenTrafficDistributionAsks) {
  core::Service s = service();
  auto zone = [](const std::string&) { return std::string("z1"); };
  auto plain = group_endpoints(s, {pod(2)}, zone)[0].endpoints[0];
  EXPECT_EQ(plain.zone, "z1");
  EXPECT_FALSE(plain.hints);
  s.spec.trafficDistribution = "PreferClose";
  auto close = group_endpoints(s, {pod(2)}, zone)[0].endpoints[0];
  ASSERT_TRUE(close.hints);
  EXPECT_EQ(close.hints->forZones[0].name, "z1");
  EXPECT_TRUE(close.hints->forNodes.empty());
  s.spec.trafficDistribution = "PreferSameNode";
  EXPECT_EQ(group_endpoints(s, {pod(2)}, zone)[0].endpoints[0].hints->forNodes[0].name, "node");
}

TEST(EndpointGroups, HostnamesOnlyUnderTheServicesOwnSubdomain) {
  core::Pod p = *pod(2);
  p.spec.hostname = "db-0";
  EXPECT_FALSE(hostname_of(p, service()));
  p.spec.subdomain = "web";
  EXPECT_EQ(hostname_of(p, service()), "db-0");
}

TEST(Subsets, PortsWithTheSameBackendsShareOne) {
  core::Service s = service();
  auto& second = s.spec.ports.emplace_back();
  second.name = "metrics";
  second.port = 90;
  second.targetPort = schema::IntOrString::of(9090);
  bool truncated = true;
  auto subsets = endpoint_subsets(s, {pod(2), pod(4, false), pod(6, true, true)}, 1000, truncated);
  EXPECT_FALSE(truncated);
  ASSERT_EQ(subsets.size(), 1u);
  EXPECT_EQ(subsets[0].ports.size(), 2u);
  EXPECT_EQ(subsets[0].addresses.size(), 1u);
  EXPECT_EQ(subsets[0].notReadyAddresses.size(), 1u) << "a terminating pod is in neither";
}

TEST(Subsets, AreCutAtTheirCapacityReadyFirst) {
  std::vector<PodPtr> pods;
  for (int i = 0; i < 20; i += 2) pods.push_back(pod(i, i >= 10));
  bool truncated = false;
  auto subsets = endpoint_subsets(service(), pods, 6, truncated);
  EXPECT_TRUE(truncated);
  EXPECT_EQ(subsets[0].addresses.size(), 5u);
  EXPECT_EQ(subsets[0].notReadyAddresses.size(), 1u);
}

TEST(Mirroring, SplitsFamiliesAndKeepsPorts) {
  core::Endpoints e;
  auto& subset = e.subsets.emplace_back();
  subset.addresses.emplace_back().ip = "192.0.2.1";
  subset.addresses.emplace_back().ip = "2001:db8::1";
  subset.notReadyAddresses.emplace_back().ip = "192.0.2.2";
  subset.ports.emplace_back().port = 80;
  auto groups = mirror_endpoints(e, 1000);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].endpoints.size(), 2u);
  EXPECT_FALSE(*groups[0].endpoints[1].conditions.ready);
  EXPECT_EQ(groups[1].address_type, "IPv6");
  EXPECT_EQ(mirror_endpoints(e, 1)[0].endpoints.size(), 1u);
}

class Slices : public ::testing::Test {
 protected:
  EndpointGroup group(int from, int to) {
    std::vector<PodPtr> pods;
    for (int i = from; i < to; ++i) pods.push_back(pod(2 * i));
    return group_endpoints(service(), pods, no_zone)[0];
  }
  SlicePlan plan(const EndpointGroup& wanted, const std::vector<SlicePtr>& have) {
    return plan_slices({wanted}, have, pattern, false, 10);
  }
  // The slices after a plan was carried out.
  std::vector<SlicePtr> apply(std::vector<SlicePtr> have, const SlicePlan& p) {
    for (const auto& gone : p.remove) std::erase(have, gone);
    for (const auto& changed : p.update) {
      std::erase_if(have, [&](const SlicePtr& s) { return s->metadata.name == changed.metadata.name; });
      have.push_back(slice(changed, changed.metadata.name));
    }
    for (const auto& made : p.create) have.push_back(slice(made, fmt::format("s{}", ++names_)));
    return have;
  }
  static size_t total(const std::vector<SlicePtr>& slices) {
    size_t n = 0;
    for (const auto& s : slices) n += s->endpoints.size();
    return n;
  }
  discovery::EndpointSlice pattern;
  int names_ = 0;
};

TEST_F(Slices, AreMadeFullAndThenLeftAlone) {
  auto first = plan(group(0, 25), {});
  ASSERT_EQ(first.create.size(), 3u);
  auto have = apply({}, first);
  EXPECT_EQ(total(have), 25u);
  EXPECT_TRUE(plan(group(0, 25), have).empty());
}

TEST_F(Slices, OneEndpointMoreChangesOneSlice) {
  auto have = apply({}, plan(group(0, 25), {}));
  auto more = plan(group(0, 26), have);
  EXPECT_EQ(more.update.size(), 1u);
  EXPECT_TRUE(more.create.empty());
  EXPECT_TRUE(more.remove.empty());
  EXPECT_EQ(total(apply(have, more)), 26u);
}

TEST_F(Slices, OneEndpointReplacedChangesOneSlice) {
  auto have = apply({}, plan(group(0, 20), {}));
  auto moved = plan(group(1, 21), have);
  EXPECT_EQ(moved.update.size(), 1u);
  EXPECT_TRUE(moved.create.empty());
  EXPECT_EQ(total(apply(have, moved)), 20u);
}

TEST_F(Slices, OneIsKeptEmptyWhenNothingIsLeft) {
  auto have = apply({}, plan(group(0, 25), {}));
  auto none = plan(group(0, 0), have);
  EXPECT_EQ(none.remove.size() + none.update.size(), 3u);
  have = apply(have, none);
  ASSERT_EQ(have.size(), 1u);
  EXPECT_TRUE(have[0]->endpoints.empty());
  EXPECT_TRUE(plan(group(0, 0), have).empty());
}

TEST_F(Slices, AChangedConditionIsWritten) {
  auto have = apply({}, plan(group(0, 3), {}));
  EndpointGroup changed = group(0, 3);
  changed.endpoints[1].conditions.ready = false;
  EXPECT_EQ(plan(changed, have).update.size(), 1u);
}

TEST_F(Slices, OtherPortsTurnTheSliceIntoTheirs) {
  auto have = apply({}, plan(group(0, 3), {}));
  EndpointGroup moved = group(0, 3);
  moved.ports[0].port = 9999;
  auto p = plan(moved, have);
  ASSERT_EQ(p.update.size(), 1u);
  EXPECT_TRUE(p.create.empty() && p.remove.empty());
  EXPECT_EQ(*p.update[0].ports[0].port, 9999);
  EXPECT_EQ(p.update[0].endpoints.size(), 3u);
}

TEST_F(Slices, LabelsOfTheServiceAreFollowed) {
  auto have = apply({}, plan(group(0, 3), {}));
  pattern.metadata.labels["a"] = "b";
  auto p = plan(group(0, 3), have);
  ASSERT_EQ(p.update.size(), 1u);
  EXPECT_EQ(p.update[0].metadata.labels.at("a"), "b");
}

}  // namespace
}  // namespace redoubt::controllers
