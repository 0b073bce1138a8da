// May this pod run on that node? One function a reason; pure, over what the informers hold.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "schema/k8s/core_v1.h"

namespace redoubt::scheduler {

namespace core = k8s::core::v1;

// What a pod asks for: its containers together, or its largest init container, whichever is more.
struct Demand {
  int64_t milli_cpu = 0;
  int64_t memory = 0;
  int64_t ephemeral_storage = 0;
  std::map<std::string, int64_t> extended;
};
Demand demand_of(const core::Pod& pod);

// A node with what its pods already take.
struct NodeState {
  const core::Node* node = nullptr;
  std::vector<const core::Pod*> pods;
  Demand used;
};

// Empty when the pod fits; else the reason in upstream's words ("Insufficient cpu", "node(s) had untolerated taint
// {...}").
std::string filter(const core::Pod& pod, const NodeState& state, const std::vector<NodeState>& all);
// Higher is better, 0 to 100 a plug-in, summed.
int64_t score(const core::Pod& pod, const NodeState& state);

bool tolerates(const std::vector<core::Toleration>& tolerations, const core::Taint& taint);
bool matches_terms(const std::vector<core::NodeSelectorTerm>& terms, const core::Node& node);

}  // namespace redoubt::scheduler
