#include <gtest/gtest.h>

#include "controllers/node_lifecycle/health.h"

namespace redoubt::controllers {
namespace {

core::Node node(std::initializer_list<std::pair<const char*, const char*>> conditions) {
  core::Node out;
  out.metadata.name = "n";
  for (const auto& [type, status] : conditions) {
    auto& c = out.status.conditions.emplace_back();
    c.type = type;
    c.status = status;
  }
  return out;
}

core::Taint taint(const char* key, const char* effect, const char* value = "") {
  core::Taint out;
  out.key = key;
  out.effect = effect;
  out.value = value;
  return out;
}

core::Toleration toleration(const char* key, const char* op, const char* effect,
                            std::optional<int64_t> seconds = std::nullopt) {
  core::Toleration out;
  out.key = key;
  out.operator_ = op;
  out.effect = effect;
  out.tolerationSeconds = seconds;
  return out;
}

TEST(NodeHealth, ASilentNodesConditionsBecomeUnknown) {
  core::Node n = node({{"Ready", "True"}, {"MemoryPressure", "False"}});
  ASSERT_TRUE(mark_silent(n, schema::Time::now()));
  EXPECT_EQ(condition_of(n, "Ready")->status, "Unknown");
  EXPECT_EQ(condition_of(n, "Ready")->reason, "NodeStatusUnknown");
  EXPECT_EQ(condition_of(n, "Ready")->message, "Kubelet stopped posting node status.");
  // One it never wrote.
  EXPECT_EQ(condition_of(n, "PIDPressure")->reason, "NodeStatusNeverUpdated");
  EXPECT_FALSE(mark_silent(n, schema::Time::now()));
}

TEST(NodeHealth, TaintsFollowConditions) {
  struct Case {
    const char *condition, *status, *taint;
  };
  for (const Case& c : {Case{"Ready", "False", "node.kubernetes.io/not-ready"},
                        Case{"Ready", "Unknown", "node.kubernetes.io/unreachable"},
                        Case{"MemoryPressure", "True", "node.kubernetes.io/memory-pressure"},
                        Case{"DiskPressure", "True", "node.kubernetes.io/disk-pressure"},
                        Case{"PIDPressure", "True", "node.kubernetes.io/pid-pressure"},
                        Case{"NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"}}) {
    auto taints = schedule_taints(node({{c.condition, c.status}}));
    ASSERT_EQ(taints.size(), 1u) << c.condition;
    EXPECT_EQ(taints[0].key, c.taint);
    EXPECT_EQ(taints[0].effect, "NoSchedule");
  }
  core::Node cordoned = node({{"Ready", "True"}});
  cordoned.spec.unschedulable = true;
  EXPECT_EQ(schedule_taints(cordoned)[0].key, "node.kubernetes.io/unschedulable");
  EXPECT_FALSE(eviction_taint(cordoned));
  EXPECT_EQ(eviction_taint(node({{"Ready", "Unknown"}}))->key, "node.kubernetes.io/unreachable");
}

TEST(NodeHealth, LeavesOtherPeoplesTaintsAlone) {
  core::Node n = node({{"Ready", "True"}});
  n.spec.taints = {taint("mine", "NoSchedule"), taint("node.kubernetes.io/not-ready", "NoSchedule"),
                   taint("node.kubernetes.io/not-ready", "NoExecute")};
  ASSERT_TRUE(replace_taints(n, schedule_taints(n), "NoSchedule", schema::Time::now()));
  ASSERT_EQ(n.spec.taints.size(), 2u);
  EXPECT_EQ(n.spec.taints[0].key, "mine");
  EXPECT_EQ(n.spec.taints[1].effect, "NoExecute");
  EXPECT_FALSE(replace_taints(n, schedule_taints(n), "NoSchedule", schema::Time::now()));
}

TEST(NodeHealth, AZoneThatIsAllDownIsNotTrusted) {
  ZoneLimits limits;
  EXPECT_EQ(zone_state(0, 1, limits), ZoneState::FullDisruption);
  EXPECT_EQ(zone_state(1, 2, limits), ZoneState::Normal);
  EXPECT_EQ(zone_state(2, 3, limits), ZoneState::PartialDisruption);
  EXPECT_EQ(zone_state(3, 0, limits), ZoneState::Normal);
  EXPECT_EQ(zone_state(0, 0, limits), ZoneState::Normal);
  EXPECT_DOUBLE_EQ(eviction_rate(ZoneState::Normal, 5, limits), 0.1);
  EXPECT_DOUBLE_EQ(eviction_rate(ZoneState::PartialDisruption, 5, limits), 0);
  EXPECT_DOUBLE_EQ(eviction_rate(ZoneState::PartialDisruption, 51, limits), 0.01);
}

TEST(NodeHealth, PodsLeaveWhenTheirTolerationRunsOut) {
  Timestamp at = *parse_rfc3339("2026-01-01T00:00:00Z");
  std::vector<core::Taint> taints = {taint("node.kubernetes.io/unreachable", "NoExecute")};
  core::Pod pod;
  EXPECT_EQ(leave_at(pod, taints, at), at) << "no toleration: at once";
  pod.spec.tolerations = {toleration("node.kubernetes.io/unreachable", "Exists", "NoExecute", 300)};
  EXPECT_EQ(leave_at(pod, taints, at), at + std::chrono::seconds(300));
  pod.spec.tolerations.push_back(toleration("", "Exists", "", 20));
  EXPECT_EQ(leave_at(pod, taints, at), at + std::chrono::seconds(20)) << "the shortest";
  pod.spec.tolerations = {toleration("", "Exists", "")};
  EXPECT_FALSE(leave_at(pod, taints, at)) << "for ever";
  pod.spec.tolerations = {toleration("node.kubernetes.io/unreachable", "Exists", "NoExecute", 0)};
  EXPECT_EQ(leave_at(pod, taints, at), at);
  EXPECT_FALSE(leave_at(core::Pod(), {taint("x", "NoSchedule")}, at));
  taints[0].timeAdded = schema::Time{at - std::chrono::seconds(10)};
  pod.spec.tolerations = {toleration("node.kubernetes.io/unreachable", "Exists", "NoExecute", 300)};
  EXPECT_EQ(leave_at(pod, taints, at), at + std::chrono::seconds(290)) << "counted from when the taint was added";
}

TEST(NodeHealth, TolerationsMatchByKeyValueAndEffect) {
  core::Taint t = taint("k", "NoExecute", "v");
  core::Toleration equal = toleration("k", "", "NoExecute");
  EXPECT_FALSE(tolerates(equal, t));
  equal.value = "v";
  EXPECT_TRUE(tolerates(equal, t));
  EXPECT_FALSE(tolerates(toleration("k", "Exists", "NoSchedule"), t));
  EXPECT_TRUE(tolerates(toleration("", "Exists", ""), t));
  EXPECT_FALSE(tolerates(toleration("", "Equal", ""), t));
}

}  // namespace
}  // namespace redoubt::controllers
