// The next steps of a StatefulSet: which of its pods to make, end or wait for, in its order.
//
// Pure; semantics are upstream's (pkg/controller/statefulset).
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controllers/controller.h"

namespace redoubt::controllers {

// "web-3" of "web" is 3; -1 for a name that is none of the set's.
int32_t ordinal_of(const std::string& set, const std::string& pod);

// The set's pod of that ordinal, from `tmpl`: names, labels, volumes of its claims.
core::Pod stateful_pod(const apps::StatefulSet& set, const core::PodTemplateSpec& tmpl, const std::string& revision,
                       int32_t ordinal);
// The claims that the pod of that ordinal uses.
std::vector<core::PersistentVolumeClaim> claims_of(const apps::StatefulSet& set, int32_t ordinal);

struct StatefulPlan {
  struct Create {
    int32_t ordinal;
    bool updated;  // of the update revision, else of the current one
  };
  std::vector<Create> create;
  std::vector<std::shared_ptr<const core::Pod>> remove;
  apps::StatefulSetStatus status;
  std::optional<std::chrono::milliseconds> again_after;
};
// `current` and `update` are the names of the two revisions; pods carry theirs in the label controller-revision-hash.
StatefulPlan plan_stateful_set(const apps::StatefulSet& set, const std::vector<std::shared_ptr<const core::Pod>>& pods,
                               const std::string& current, const std::string& update);

}  // namespace redoubt::controllers
