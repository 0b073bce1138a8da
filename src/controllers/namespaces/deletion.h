// What a namespace that is being emptied says of itself: the conditions of its status, from what was found.
//
// Pure. Types, reasons and messages are upstream's (k8s.io/api/core/v1 NamespaceConditionType).
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "schema/k8s/core_v1.h"

namespace redoubt::controllers {

// One pass over a namespace's content.
struct ContentReport {
  std::vector<std::string> undiscovered;      // group versions that can't be listed, so may hold content
  std::vector<std::string> failures;          // errors of deleting or listing, one text each
  std::map<std::string, int64_t> remaining;   // "pods." or "deployments.apps" to how many are left
  std::map<std::string, int64_t> finalizers;  // finalizer to how many objects it holds
  int64_t longest_grace_seconds = 0;          // of pods that still end

  bool empty() const { return undiscovered.empty() && failures.empty() && remaining.empty(); }
};

// The five conditions as they follow from `report`, in a fixed order; without times.
std::vector<k8s::core::v1::NamespaceCondition> deletion_conditions(const ContentReport& report);
// Puts `wanted` into `status`; lastTransitionTime moves with the condition's status.
// True when something changed.
bool merge_conditions(k8s::core::v1::NamespaceStatus& status,
                      const std::vector<k8s::core::v1::NamespaceCondition>& wanted);
// Seconds until it is worth looking again.
int64_t look_again_seconds(const ContentReport& report);

}  // namespace redoubt::controllers
