// What to do for a Job, from what it says and from its pods: the counts, the conditions, which pods to make and end.
//
// Pure; semantics are upstream's (pkg/controller/job). Every finished pod is counted exactly once, whatever crashes in
// between: a pod carries a finalizer until its uid stands in the status (uncountedTerminatedPods); it is counted for
// good once the finalizer is off.
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controllers/controller.h"
#include "schema/k8s/batch_v1.h"

namespace redoubt::controllers {

namespace batch = k8s::batch::v1;

inline constexpr const char* kJobTracking = "batch.kubernetes.io/job-tracking";
inline constexpr const char* kCompletionIndex = "batch.kubernetes.io/job-completion-index";
inline constexpr const char* kIndexFailures = "batch.kubernetes.io/job-index-failure-count";

struct NewPod {
  std::optional<int32_t> index;  // Indexed jobs
  int32_t index_failures = 0;    // what the pod's annotation says, with backoffLimitPerIndex
};

struct JobPlan {
  batch::JobStatus status;                                // to be written before anything else is done
  std::vector<std::shared_ptr<const core::Pod>> release;  // finalizer off: they are in the status
  std::vector<std::shared_ptr<const core::Pod>> end;      // finalizer off, then deleted: they do not count
  std::vector<NewPod> create;
  std::optional<std::chrono::milliseconds> again_after;
};

// The condition of that type that is True; null when there is none.
const batch::JobCondition* true_condition(const batch::JobStatus& status, std::string_view type);
// Complete or Failed.
bool is_finished(const batch::JobStatus& status);
bool has_tracking(const core::Pod& pod);

JobPlan plan_job(const batch::Job& job, const std::vector<std::shared_ptr<const core::Pod>>& pods, Timestamp at);

}  // namespace redoubt::controllers
