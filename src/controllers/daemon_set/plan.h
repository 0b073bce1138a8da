// Which nodes a DaemonSet's pods belong on, and what to make and delete so that they get there.
//
// Pure; semantics are upstream's (pkg/controller/daemon): the controller chooses the node, the scheduler binds.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controllers/controller.h"

namespace redoubt::controllers {

inline constexpr const char* kRevisionHash = "controller-revision-hash";
inline constexpr const char* kTemplateGeneration = "pod-template-generation";

// The node that a DaemonSet's pod is meant for, bound or not; empty when it names none.
std::string target_node(const core::Pod& pod);
// Sets the affinity by which the scheduler puts the pod on that node and no other.
void bind_to_node(core::PodSpec& spec, const std::string& node);
// The tolerations of every DaemonSet's pods: they stay while a node has trouble.
void add_daemon_tolerations(core::PodSpec& spec);

struct Placement {
  bool run = false;           // a pod belongs there
  bool keep_running = false;  // one that is there may stay
};
// `spec` with its daemon tolerations.
Placement placement(const core::PodSpec& spec, const core::Node& node);

struct DaemonPlan {
  std::vector<std::string> create;  // nodes
  std::vector<std::shared_ptr<const core::Pod>> remove;
  std::vector<std::shared_ptr<const core::Pod>> failed;  // of those, the ones that failed by themselves
  apps::DaemonSetStatus status;
  std::optional<std::chrono::milliseconds> again_after;
};
// `hash` is the current template's; pods with another one are old.
DaemonPlan plan_daemon_set(const apps::DaemonSet& ds, const std::vector<std::shared_ptr<const core::Node>>& nodes,
                           const std::vector<std::shared_ptr<const core::Pod>>& pods, const std::string& hash);

}  // namespace redoubt::controllers
