#include <gtest/gtest.h>

#include "controllers/stateful_set/plan.h"

namespace redoubt::controllers {
namespace {

using PodPtr = std::shared_ptr<const core::Pod>;

apps::StatefulSet set(int replicas) {
  apps::StatefulSet out;
  out.metadata.name = "web";
  out.metadata.namespace_ = "ns";
  out.spec.replicas = replicas;
  out.spec.serviceName = "svc";
  out.spec.podManagementPolicy = "OrderedReady";
  out.spec.updateStrategy.type = "RollingUpdate";
  return out;
}

PodPtr pod(int ordinal, std::string revision = "r1", bool ready = true, bool deleting = false) {
  auto out = std::make_shared<core::Pod>();
  out->metadata.name = fmt::format("web-{}", ordinal);
  out->metadata.labels["controller-revision-hash"] = std::move(revision);
  if (deleting) out->metadata.deletionTimestamp = schema::Time::now();
  out->status.phase = "Running";
  auto& c = out->status.conditions.emplace_back();
  c.type = "Ready";
  c.status = ready ? "True" : "False";
  return out;
}

std::vector<int> made(const StatefulPlan& plan) {
  std::vector<int> out;
  for (const auto& c : plan.create) out.push_back(c.ordinal);
  return out;
}
std::vector<std::string> removed(const StatefulPlan& plan) {
  std::vector<std::string> out;
  for (const auto& p : plan.remove) out.push_back(p->metadata.name);
  return out;
}
using Names = std::vector<std::string>;

TEST(StatefulSetPlan, KnowsItsOrdinals) {
  EXPECT_EQ(ordinal_of("web", "web-0"), 0);
  EXPECT_EQ(ordinal_of("web", "web-12"), 12);
  for (const char* name : {"web", "web-", "web-x", "web-01", "web--1", "webx-1", "other-1", "web-1-2"})
    EXPECT_EQ(ordinal_of("web", name), -1) << name;
}

TEST(StatefulSetPlan, GrowsOneByOneAndWaitsForEach) {
  EXPECT_EQ(made(plan_stateful_set(set(3), {}, "r1", "r1")), std::vector<int>{0});
  EXPECT_TRUE(made(plan_stateful_set(set(3), {pod(0, "r1", false)}, "r1", "r1")).empty());
  EXPECT_EQ(made(plan_stateful_set(set(3), {pod(0)}, "r1", "r1")), std::vector<int>{1});
  apps::StatefulSet parallel = set(3);
  parallel.spec.podManagementPolicy = "Parallel";
  EXPECT_EQ(made(plan_stateful_set(parallel, {}, "r1", "r1")), (std::vector<int>{0, 1, 2}));
}

TEST(StatefulSetPlan, ShrinksFromTheTop) {
  EXPECT_EQ(removed(plan_stateful_set(set(1), {pod(0), pod(1), pod(2)}, "r1", "r1")), Names{"web-2"});
  EXPECT_TRUE(removed(plan_stateful_set(set(1), {pod(0), pod(1), pod(2, "r1", true, true)}, "r1", "r1")).empty());
  EXPECT_TRUE(removed(plan_stateful_set(set(1), {pod(0, "r1", false), pod(1)}, "r1", "r1")).empty())
      << "what stays has to be well first";
  EXPECT_EQ(removed(plan_stateful_set(set(1), {pod(0), pod(1, "r1", false)}, "r1", "r1")), Names{"web-1"});
}

TEST(StatefulSetPlan, UpdatesFromTheTopDownToThePartition) {
  auto plan = plan_stateful_set(set(3), {pod(0), pod(1), pod(2)}, "r1", "r2");
  EXPECT_EQ(removed(plan), Names{"web-2"});
  EXPECT_EQ(removed(plan_stateful_set(set(3), {pod(0), pod(1), pod(2, "r2")}, "r1", "r2")), Names{"web-1"});
  EXPECT_TRUE(removed(plan_stateful_set(set(3), {pod(0), pod(1), pod(2, "r2", false)}, "r1", "r2")).empty());
  apps::StatefulSet half = set(3);
  half.spec.updateStrategy.rollingUpdate.emplace().partition = 2;
  EXPECT_TRUE(removed(plan_stateful_set(half, {pod(0), pod(1), pod(2, "r2")}, "r1", "r2")).empty());
  apps::StatefulSet manual = set(3);
  manual.spec.updateStrategy.type = "OnDelete";
  EXPECT_TRUE(removed(plan_stateful_set(manual, {pod(0), pod(1), pod(2)}, "r1", "r2")).empty());
}

TEST(StatefulSetPlan, ALostPodComesBackInTheRevisionThatItsPlaceHas) {
  // The update has reached 2; 1 is still of the old revision and was lost.
  apps::StatefulSet s = set(3);
  s.spec.updateStrategy.rollingUpdate.emplace().partition = 2;
  auto plan = plan_stateful_set(s, {pod(0), pod(2, "r2")}, "r1", "r2");
  ASSERT_EQ(plan.create.size(), 1u);
  EXPECT_FALSE(plan.create[0].updated);
  auto top = plan_stateful_set(s, {pod(0), pod(1)}, "r1", "r2");
  ASSERT_EQ(top.create.size(), 1u);
  EXPECT_TRUE(top.create[0].updated);
}

TEST(StatefulSetPlan, IsDoneWhenEveryPodIsOfTheNewRevision) {
  auto plan = plan_stateful_set(set(2), {pod(0, "r2"), pod(1, "r2")}, "r1", "r2");
  EXPECT_EQ(plan.status.currentRevision, "r2");
  EXPECT_EQ(plan.status.currentReplicas, 2);
  EXPECT_EQ(plan.status.updatedReplicas, 2);
  EXPECT_EQ(plan.status.readyReplicas, 2);
}

TEST(StatefulSetPlan, PodsHaveNamesAndVolumesOfTheirOwn) {
  apps::StatefulSet s = set(1);
  s.spec.selector.emplace().matchLabels["app"] = "web";
  s.spec.volumeClaimTemplates.emplace_back().metadata.name = "data";
  core::PodTemplateSpec tmpl;
  tmpl.spec.volumes.emplace_back().name = "data";
  core::Pod p = stateful_pod(s, tmpl, "web-abc", 4);
  EXPECT_EQ(p.metadata.name, "web-4");
  EXPECT_EQ(p.spec.hostname, "web-4");
  EXPECT_EQ(p.spec.subdomain, "svc");
  EXPECT_EQ(p.metadata.labels.at("statefulset.kubernetes.io/pod-name"), "web-4");
  EXPECT_EQ(p.metadata.labels.at("controller-revision-hash"), "web-abc");
  ASSERT_EQ(p.spec.volumes.size(), 1u);
  EXPECT_EQ(p.spec.volumes[0].persistentVolumeClaim->claimName, "data-web-4");
  auto claims = claims_of(s, 4);
  ASSERT_EQ(claims.size(), 1u);
  EXPECT_EQ(claims[0].metadata.name, "data-web-4");
  EXPECT_EQ(claims[0].metadata.labels.at("app"), "web");
}

TEST(StatefulSetPlan, OrdinalsMayStartElsewhere) {
  apps::StatefulSet s = set(2);
  s.spec.ordinals.emplace().start = 5;
  EXPECT_EQ(made(plan_stateful_set(s, {}, "r1", "r1")), std::vector<int>{5});
  EXPECT_EQ(removed(plan_stateful_set(s, {pod(0), pod(5), pod(6)}, "r1", "r1")), Names{"web-0"});
}

}  // namespace
}  // namespace redoubt::controllers
