#include <gtest/gtest.h>

#include "controllers/daemon_set/plan.h"
#include "controllers/revisions/revisions.h"
#include "schema/typed.h"

namespace redoubt::controllers {
namespace {

using PodPtr = std::shared_ptr<const core::Pod>;
using NodePtr = std::shared_ptr<const core::Node>;

NodePtr node(std::string name, std::vector<core::Taint> taints = {}) {
  auto out = std::make_shared<core::Node>();
  out->metadata.name = std::move(name);
  out->metadata.labels["disk"] = "ssd";
  out->spec.taints = std::move(taints);
  return out;
}

PodPtr pod(std::string name, std::string node_name, std::string hash, bool ready = true,
           std::string phase = "Running") {
  auto out = std::make_shared<core::Pod>();
  out->metadata.name = std::move(name);
  out->metadata.labels[kRevisionHash] = std::move(hash);
  out->spec.nodeName = std::move(node_name);
  out->status.phase = std::move(phase);
  auto& c = out->status.conditions.emplace_back();
  c.type = "Ready";
  c.status = ready ? "True" : "False";
  return out;
}

apps::DaemonSet set() {
  apps::DaemonSet out;
  out.metadata.name = "ds";
  out.spec.updateStrategy.type = "RollingUpdate";
  auto& rolling = out.spec.updateStrategy.rollingUpdate.emplace();
  rolling.maxUnavailable = schema::IntOrString::of(1);
  rolling.maxSurge = schema::IntOrString::of(0);
  return out;
}

core::Taint taint(const char* key, const char* effect) {
  core::Taint out;
  out.key = key;
  out.effect = effect;
  return out;
}

TEST(DaemonSetPlan, OnePodOnEachNode) {
  auto plan = plan_daemon_set(set(), {node("a"), node("b")}, {pod("p", "a", "h")}, "h");
  EXPECT_EQ(plan.create, std::vector<std::string>{"b"});
  EXPECT_EQ(plan.status.desiredNumberScheduled, 2);
  EXPECT_EQ(plan.status.currentNumberScheduled, 1);
  EXPECT_EQ(plan.status.numberAvailable, 1);
  EXPECT_EQ(plan.status.numberUnavailable, 1);
  EXPECT_EQ(plan_daemon_set(set(), {node("a")}, {pod("p", "a", "h"), pod("q", "a", "h")}, "h").remove.size(), 1u);
}

TEST(DaemonSetPlan, TroubleOfANodeDrivesNoDaemonAway) {
  core::PodSpec spec;
  add_daemon_tolerations(spec);
  EXPECT_TRUE(placement(spec, *node("a", {taint("node.kubernetes.io/unreachable", "NoExecute"),
                                          taint("node.kubernetes.io/disk-pressure", "NoSchedule")}))
                  .run);
  auto cordoned = placement(spec, *node("a", {taint("mine", "NoSchedule")}));
  EXPECT_FALSE(cordoned.run);
  EXPECT_TRUE(cordoned.keep_running) << "NoSchedule leaves what runs";
  EXPECT_FALSE(placement(spec, *node("a", {taint("mine", "NoExecute")})).keep_running);
  spec.nodeSelector["disk"] = "hdd";
  EXPECT_FALSE(placement(spec, *node("a")).keep_running);
}

TEST(DaemonSetPlan, MisplacedPodsAreCountedOrRemoved) {
  auto plan = plan_daemon_set(set(), {node("a", {taint("mine", "NoSchedule")})}, {pod("p", "a", "h")}, "h");
  EXPECT_TRUE(plan.remove.empty());
  EXPECT_EQ(plan.status.numberMisscheduled, 1);
  EXPECT_EQ(plan_daemon_set(set(), {node("a", {taint("mine", "NoExecute")})}, {pod("p", "a", "h")}, "h").remove.size(),
            1u);
}

TEST(DaemonSetPlan, UpdatesOneNodeAtATimeAndBrokenOnesAtOnce) {
  std::vector<NodePtr> nodes{node("a"), node("b"), node("c")};
  auto plan = plan_daemon_set(set(), nodes, {pod("p", "a", "old"), pod("q", "b", "old"), pod("r", "c", "old")}, "new");
  EXPECT_EQ(plan.remove.size(), 1u);
  plan =
      plan_daemon_set(set(), nodes, {pod("p", "a", "new", false), pod("q", "b", "old"), pod("r", "c", "old")}, "new");
  EXPECT_TRUE(plan.remove.empty()) << "one is missing already";
  plan =
      plan_daemon_set(set(), nodes, {pod("p", "a", "new"), pod("q", "b", "old", false), pod("r", "c", "old")}, "new");
  ASSERT_EQ(plan.remove.size(), 1u);
  EXPECT_EQ(plan.remove[0]->metadata.name, "q");
  apps::DaemonSet manual = set();
  manual.spec.updateStrategy.type = "OnDelete";
  EXPECT_TRUE(plan_daemon_set(manual, nodes, {pod("p", "a", "old")}, "new").remove.empty());
}

TEST(DaemonSetPlan, SurgesBeforeItTakesAway) {
  apps::DaemonSet ds = set();
  ds.spec.updateStrategy.rollingUpdate->maxSurge = schema::IntOrString::of(1);
  ds.spec.updateStrategy.rollingUpdate->maxUnavailable = schema::IntOrString::of(0);
  std::vector<NodePtr> nodes{node("a"), node("b")};
  auto plan = plan_daemon_set(ds, nodes, {pod("p", "a", "old"), pod("q", "b", "old")}, "new");
  EXPECT_TRUE(plan.remove.empty());
  EXPECT_EQ(plan.create.size(), 1u);
  plan = plan_daemon_set(ds, nodes, {pod("p", "a", "old"), pod("n", "a", "new", false), pod("q", "b", "old")}, "new");
  EXPECT_TRUE(plan.remove.empty());
  EXPECT_TRUE(plan.create.empty());
  plan = plan_daemon_set(ds, nodes, {pod("p", "a", "old"), pod("n", "a", "new"), pod("q", "b", "old")}, "new");
  ASSERT_EQ(plan.remove.size(), 1u);
  EXPECT_EQ(plan.remove[0]->metadata.name, "p");
}

TEST(DaemonSetPlan, PodsAreMeantForTheirNodeBeforeTheyAreBound) {
  core::Pod p;
  bind_to_node(p.spec, "a");
  EXPECT_EQ(target_node(p), "a");
  p.spec.nodeName = "b";
  EXPECT_EQ(target_node(p), "b");
}

TEST(DaemonSetPlan, FailedPodsAreReplaced) {
  auto plan = plan_daemon_set(set(), {node("a")}, {pod("p", "a", "h", false, "Failed")}, "h");
  EXPECT_EQ(plan.failed.size(), 1u);
  EXPECT_EQ(plan.remove.size(), 1u);
  EXPECT_TRUE(plan.create.empty());
}

TEST(Revisions, HoldATemplateAndFindItAgain) {
  core::PodTemplateSpec tmpl;
  tmpl.metadata.labels["a"] = "b";
  tmpl.spec.containers.emplace_back().image = "x:1";
  auto revision = std::make_shared<apps::ControllerRevision>();
  revision->data.json = revision_data(tmpl);
  revision->metadata.name = "r1";
  EXPECT_NE(revision->data.json.find(R"("$patch":"replace")"), std::string::npos);
  ASSERT_TRUE(template_of(*revision));
  EXPECT_TRUE(schema::equal(*template_of(*revision), tmpl));
  EXPECT_EQ(find_equal({revision}, tmpl), revision);
  core::PodTemplateSpec other = tmpl;
  other.spec.containers[0].image = "x:2";
  EXPECT_EQ(find_equal({revision}, other), nullptr);
  EXPECT_NE(revision_hash(tmpl, 0), revision_hash(other, 0));
  EXPECT_NE(revision_hash(tmpl, 0), revision_hash(tmpl, 1));
}

TEST(Revisions, KeepTheNewestOfThoseNotInUse) {
  std::vector<RevisionPtr> all;
  for (int i = 0; i < 5; ++i) {
    auto r = std::make_shared<apps::ControllerRevision>();
    r->metadata.name = "r" + std::to_string(i);
    r->revision = i;
    all.push_back(r);
  }
  auto gone = surplus(all, {"r0", "r4"}, 2);
  ASSERT_EQ(gone.size(), 1u);
  EXPECT_EQ(gone[0]->metadata.name, "r1");
}

}  // namespace
}  // namespace redoubt::controllers
