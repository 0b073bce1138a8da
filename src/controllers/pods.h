// Pods as controllers make and end them.
#pragma once
#include <string>

#include "controllers/controller.h"

namespace redoubt::controllers {

// A pod of a template, controlled by `owner`. The name is the caller's affair (generateName is "OWNER-").
core::Pod pod_of(const core::PodTemplateSpec& tmpl, const std::string& ns, meta::OwnerReference owner);

// "True", "False" or "" when there is no such condition.
std::string condition_status(const core::Pod& pod, std::string_view type);

// Ready for at least `min_ready_seconds`; `wait` gets how long it takes until then, where time is all that is missing.
bool is_available(const core::Pod& pod, int32_t min_ready_seconds, std::optional<std::chrono::milliseconds>& wait);

// Writes the pod's DisruptionTarget condition before it is deleted by force; with `fail`, also phase Failed where it
// has not ended. A pod that is gone meanwhile is no error.
Task<Result<void>> mark_disrupted(client::Client& api, core::Pod pod, std::string reason, std::string message,
                                  bool fail);

}  // namespace redoubt::controllers
