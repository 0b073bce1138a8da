#include "controllers/pods.h"

namespace redoubt::controllers {

core::Pod pod_of(const core::PodTemplateSpec& tmpl, const std::string& ns, meta::OwnerReference owner) {
  core::Pod pod;
  pod.metadata.namespace_ = ns;
  pod.metadata.generateName = owner.name + "-";
  pod.metadata.labels = tmpl.metadata.labels;
  pod.metadata.annotations = tmpl.metadata.annotations;
  pod.metadata.finalizers = tmpl.metadata.finalizers;
  pod.metadata.ownerReferences.push_back(std::move(owner));
  pod.spec = tmpl.spec;
  return pod;
}

std::string condition_status(const core::Pod& pod, std::string_view type) {
  for (const auto& c : pod.status.conditions) {
    if (c.type == type) return c.status;
  }
  return "";
}

bool is_available(const core::Pod& pod, int32_t min_ready_seconds, std::optional<std::chrono::milliseconds>& wait) {
  for (const auto& c : pod.status.conditions) {
    if (c.type != "Ready") continue;
    if (c.status != "True") return false;
    if (min_ready_seconds == 0) return true;
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(c.lastTransitionTime.at +
                                                                      std::chrono::seconds(min_ready_seconds) - now());
    if (left.count() <= 0) return true;
    if (!wait || left < *wait) wait = left + std::chrono::milliseconds(1);
    return false;
  }
  return false;
}

Task<Result<void>> mark_disrupted(client::Client& api, core::Pod pod, std::string reason, std::string message,
                                  bool fail) {
  bool ended = pod.status.phase == "Succeeded" || pod.status.phase == "Failed";
  std::string phase = fail && !ended ? R"("phase":"Failed",)" : "";
  auto written = co_await api.patch<core::Pod>(
      pod.metadata.namespace_, pod.metadata.name, client::PatchType::StrategicMerge,
      fmt::format(
          R"({{"metadata":{{"uid":"{}"}},"status":{{{}"conditions":[{{"type":"DisruptionTarget","status":"True",)"
          R"("reason":"{}","message":"{}","lastTransitionTime":"{}"}}]}}}})",
          pod.metadata.uid, phase, reason, message, format_rfc3339(now())),
      "status");
  if (!written && !written.error().is("NotFound") && !written.error().is("Conflict")) co_return Error(written.error());
  co_return Result<void>{};
}

}  // namespace redoubt::controllers
