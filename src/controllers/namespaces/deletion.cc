#include "controllers/namespaces/deletion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace redoubt::controllers {

namespace {

using Condition = k8s::core::v1::NamespaceCondition;

// Somebody else has to take a finalizer off: no use in asking often.
constexpr int64_t kFinalizerWaitSeconds = 15;

Condition condition(const char* type, bool bad, const char* bad_reason, std::string bad_message,
                    const char* good_reason, const char* good_message) {
  Condition out;
  out.type = type;
  out.status = bad ? "True" : "False";
  out.reason = bad ? bad_reason : good_reason;
  out.message = bad ? std::move(bad_message) : good_message;
  return out;
}

}  // namespace

std::vector<Condition> deletion_conditions(const ContentReport& report) {
  std::vector<std::string> remaining, finalizers;
  for (const auto& [resource, count] : report.remaining)
    remaining.push_back(fmt::format("{} has {} resource instances", resource, count));
  for (const auto& [name, count] : report.finalizers)
    finalizers.push_back(fmt::format("{} in {} resource instances", name, count));
  return {
      condition("NamespaceDeletionDiscoveryFailure", !report.undiscovered.empty(), "DiscoveryFailed",
                fmt::format("Discovery failed for some groups, {} failing: unable to retrieve the complete list of "
                            "server APIs: {}",
                            report.undiscovered.size(), fmt::join(report.undiscovered, ", ")),
                "ResourcesDiscovered", "All resources successfully discovered"),
      condition("NamespaceDeletionGroupVersionParsingFailure", false, "GroupVersionParsingFailed", "",
                "ParsedGroupVersions", "All legacy kube types successfully parsed"),
      condition("NamespaceDeletionContentFailure", !report.failures.empty(), "ContentDeletionFailed",
                fmt::format("Failed to delete all resource types, {} remaining: {}", report.failures.size(),
                            fmt::join(report.failures, ", ")),
                "ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
      condition("NamespaceContentRemaining", !remaining.empty(), "SomeResourcesRemain",
                fmt::format("Some resources are remaining: {}", fmt::join(remaining, ", ")), "ContentRemoved",
                "All content successfully removed"),
      condition("NamespaceFinalizersRemaining", !finalizers.empty(), "SomeFinalizersRemain",
                fmt::format("Some content in the namespace has finalizers remaining: {}", fmt::join(finalizers, ", ")),
                "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
  };
}

bool merge_conditions(k8s::core::v1::NamespaceStatus& status, const std::vector<Condition>& wanted) {
  bool changed = false;
  for (const Condition& want : wanted) {
    Condition* have = nullptr;
    for (Condition& c : status.conditions) {
      if (c.type == want.type) have = &c;
    }
    if (have == nullptr) {
      have = &status.conditions.emplace_back();
      have->type = want.type;
    } else if (have->status == want.status && have->reason == want.reason && have->message == want.message) {
      continue;
    }
    if (have->status != want.status) have->lastTransitionTime = schema::Time::now();
    have->status = want.status;
    have->reason = want.reason;
    have->message = want.message;
    changed = true;
  }
  return changed;
}

int64_t look_again_seconds(const ContentReport& report) {
  int64_t estimate = report.longest_grace_seconds;
  if (!report.finalizers.empty()) estimate = std::max(estimate, kFinalizerWaitSeconds);
  return estimate / 2 + 1;
}

}  // namespace redoubt::controllers
