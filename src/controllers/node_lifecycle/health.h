// What a node's silence, its conditions and its zone mean: the decisions of the node lifecycle controller.
//
// Pure; semantics, reasons and messages are upstream's (pkg/controller/nodelifecycle, pkg/controller/tainteviction).
#pragma once
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "controllers/controller.h"

namespace redoubt::controllers {

inline constexpr const char* kTaintNotReady = "node.kubernetes.io/not-ready";
inline constexpr const char* kTaintUnreachable = "node.kubernetes.io/unreachable";
inline constexpr const char* kTaintOutOfService = "node.kubernetes.io/out-of-service";

// Null when the node has no condition of that type.
const core::NodeCondition* condition_of(const core::Node& node, std::string_view type);
// "True", "False" or "Unknown"; Unknown when there is none.
std::string ready_status(const core::Node& node);

// Sets Ready and the pressure conditions of a node that has gone silent to Unknown. True when something changed.
bool mark_silent(core::Node& node, schema::Time at);

// The NoSchedule taints that follow from the node's conditions and from spec.unschedulable.
std::vector<core::Taint> schedule_taints(const core::Node& node);
// The taint that drives pods off a node that is not ready; nothing while it is.
std::optional<core::Taint> eviction_taint(const core::Node& node);
// Puts `wanted` in place of those taints of `node` that this controller keeps and that have `effect`. True when
// something changed. Taints that stay keep their timeAdded; new ones get `at`.
bool replace_taints(core::Node& node, const std::vector<core::Taint>& wanted, std::string_view effect, schema::Time at);

// ---- zones ----
enum class ZoneState { Normal, PartialDisruption, FullDisruption };
struct ZoneLimits {
  double unhealthy_threshold = 0.55;
  size_t large_cluster = 50;          // nodes of a zone from which on it is large
  double evictions_per_second = 0.1;  // nodes
  double secondary_evictions_per_second = 0.01;
};
// "REGION:\0:ZONE" as upstream; empty without either label.
std::string zone_of(const core::Node& node);
ZoneState zone_state(size_t ready, size_t not_ready, const ZoneLimits& limits);
// How many nodes a second may begin to lose their pods in a zone in that state.
double eviction_rate(ZoneState state, size_t nodes, const ZoneLimits& limits);

// ---- pods ----
bool tolerates(const core::Toleration& toleration, const core::Taint& taint);
// When a pod has to leave for the node's NoExecute taints: nothing if it may stay for ever. `seen` is the time to count
// from for a taint that does not say when it was added.
std::optional<Timestamp> leave_at(const core::Pod& pod, const std::vector<core::Taint>& taints, Timestamp seen);

}  // namespace redoubt::controllers
