#include "controllers/node_lifecycle/health.h"

#include <algorithm>

namespace redoubt::controllers {

namespace {

struct ConditionTaint {
  const char* condition;
  const char* status;
  const char* taint;
};
constexpr ConditionTaint kConditionTaints[] = {
    {"Ready", "False", kTaintNotReady},
    {"Ready", "Unknown", kTaintUnreachable},
    {"MemoryPressure", "True", "node.kubernetes.io/memory-pressure"},
    {"DiskPressure", "True", "node.kubernetes.io/disk-pressure"},
    {"NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"},
    {"PIDPressure", "True", "node.kubernetes.io/pid-pressure"},
};
constexpr const char* kTaintUnschedulable = "node.kubernetes.io/unschedulable";

// The taints that this controller puts on and takes off.
bool kept_by_us(const core::Taint& taint, std::string_view effect) {
  if (taint.effect != effect) return false;
  if (effect == "NoExecute") return taint.key == kTaintNotReady || taint.key == kTaintUnreachable;
  return taint.key == kTaintUnschedulable ||
         std::any_of(std::begin(kConditionTaints), std::end(kConditionTaints),
                     [&](const ConditionTaint& row) { return taint.key == row.taint; });
}

core::Taint taint_of(std::string key, std::string effect) {
  core::Taint out;
  out.key = std::move(key);
  out.effect = std::move(effect);
  return out;
}

}  // namespace

const core::NodeCondition* condition_of(const core::Node& node, std::string_view type) {
  for (const auto& c : node.status.conditions) {
    if (c.type == type) return &c;
  }
  return nullptr;
}

std::string ready_status(const core::Node& node) {
  const auto* ready = condition_of(node, "Ready");
  return ready == nullptr ? "Unknown" : ready->status;
}

bool mark_silent(core::Node& node, schema::Time at) {
  bool changed = false;
  for (const char* type : {"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"}) {
    core::NodeCondition* found = nullptr;
    for (auto& c : node.status.conditions) {
      if (c.type == type) found = &c;
    }
    if (found != nullptr && found->status == "Unknown") continue;
    changed = true;
    if (found == nullptr) {
      auto& c = node.status.conditions.emplace_back();
      c.type = type;
      c.status = "Unknown";
      c.reason = "NodeStatusNeverUpdated";
      c.message = "Kubelet never posted node status.";
      c.lastHeartbeatTime = node.metadata.creationTimestamp;
      c.lastTransitionTime = at;
      continue;
    }
    found->status = "Unknown";
    found->reason = "NodeStatusUnknown";
    found->message = "Kubelet stopped posting node status.";
    found->lastTransitionTime = at;
  }
  return changed;
}

std::vector<core::Taint> schedule_taints(const core::Node& node) {
  std::vector<core::Taint> out;
  for (const auto& row : kConditionTaints) {
    const auto* condition = condition_of(node, row.condition);
    if (condition != nullptr && condition->status == row.status) out.push_back(taint_of(row.taint, "NoSchedule"));
  }
  if (node.spec.unschedulable) out.push_back(taint_of(kTaintUnschedulable, "NoSchedule"));
  return out;
}

std::optional<core::Taint> eviction_taint(const core::Node& node) {
  const auto* ready = condition_of(node, "Ready");
  if (ready == nullptr || ready->status == "True") return std::nullopt;
  return taint_of(ready->status == "False" ? kTaintNotReady : kTaintUnreachable, "NoExecute");
}

bool replace_taints(core::Node& node, const std::vector<core::Taint>& wanted, std::string_view effect,
                    schema::Time at) {
  std::vector<core::Taint> out;
  bool changed = false;
  auto same = [](const core::Taint& a, const core::Taint& b) { return a.key == b.key && a.effect == b.effect; };
  for (const core::Taint& have : node.spec.taints) {
    bool stays = !kept_by_us(have, effect) ||
                 std::any_of(wanted.begin(), wanted.end(), [&](const core::Taint& t) { return same(t, have); });
    if (stays) {
      out.push_back(have);
    } else {
      changed = true;
    }
  }
  for (const core::Taint& want : wanted) {
    if (std::any_of(out.begin(), out.end(), [&](const core::Taint& t) { return same(t, want); })) continue;
    out.push_back(want);
    out.back().timeAdded = at;
    changed = true;
  }
  if (changed) node.spec.taints = std::move(out);
  return changed;
}

std::string zone_of(const core::Node& node) {
  auto label = [&](const char* key) {
    auto it = node.metadata.labels.find(key);
    return it == node.metadata.labels.end() ? std::string() : it->second;
  };
  std::string region = label("topology.kubernetes.io/region"), zone = label("topology.kubernetes.io/zone");
  if (region.empty() && zone.empty()) return "";
  return region + ":" + std::string(1, '\0') + ":" + zone;
}

ZoneState zone_state(size_t ready, size_t not_ready, const ZoneLimits& limits) {
  if (ready == 0 && not_ready > 0) return ZoneState::FullDisruption;
  if (not_ready > 2 &&
      static_cast<double>(not_ready) / static_cast<double>(ready + not_ready) >= limits.unhealthy_threshold)
    return ZoneState::PartialDisruption;
  return ZoneState::Normal;
}

double eviction_rate(ZoneState state, size_t nodes, const ZoneLimits& limits) {
  if (state != ZoneState::PartialDisruption) return limits.evictions_per_second;
  // In a small zone with most nodes gone, it is rather our view that is broken.
  return nodes > limits.large_cluster ? limits.secondary_evictions_per_second : 0;
}

bool tolerates(const core::Toleration& t, const core::Taint& taint) {
  if (!t.effect.empty() && t.effect != taint.effect) return false;
  if (!t.key.empty() && t.key != taint.key) return false;
  if (t.operator_ == "Exists") return true;
  // A toleration of every key has to say Exists.
  return !t.key.empty() && (t.operator_.empty() || t.operator_ == "Equal") && t.value == taint.value;
}

std::optional<Timestamp> leave_at(const core::Pod& pod, const std::vector<core::Taint>& taints, Timestamp seen) {
  std::optional<Timestamp> out;
  for (const core::Taint& taint : taints) {
    if (taint.effect != "NoExecute") continue;
    Timestamp since = taint.timeAdded && !taint.timeAdded->is_zero() ? taint.timeAdded->at : seen;
    bool tolerated = false;
    std::optional<std::chrono::seconds> least;
    for (const core::Toleration& toleration : pod.spec.tolerations) {
      if (!tolerates(toleration, taint)) continue;
      tolerated = true;
      if (!toleration.tolerationSeconds) continue;
      // Of several that fit, the shortest counts: the others were meant for other taints.
      std::chrono::seconds limit(std::max<int64_t>(*toleration.tolerationSeconds, 0));
      if (!least || limit < *least) least = limit;
    }
    std::optional<Timestamp> until;
    if (!tolerated) until = since;
    if (least) until = since + *least;
    if (until && (!out || *until < *out)) out = until;
  }
  return out;
}

}  // namespace redoubt::controllers
