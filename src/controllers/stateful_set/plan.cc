#include "controllers/stateful_set/plan.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "controllers/pods.h"

namespace redoubt::controllers {

namespace {

using PodPtr = std::shared_ptr<const core::Pod>;

constexpr const char* kRevisionLabel = "controller-revision-hash";

std::string revision_of(const core::Pod& pod) {
  auto it = pod.metadata.labels.find(kRevisionLabel);
  return it == pod.metadata.labels.end() ? "" : it->second;
}

std::string claim_name(const std::string& tmpl, const std::string& set, int32_t ordinal) {
  return fmt::format("{}-{}-{}", tmpl, set, ordinal);
}

class Planner {
 public:
  Planner(const apps::StatefulSet& set, const std::string& current, const std::string& update)
      : set_(set), current_(current), update_(update) {
    first_ = set.spec.ordinals ? set.spec.ordinals->start : 0;
    count_ = std::max(set.spec.replicas.value_or(1), 0);
    ordered_ = set.spec.podManagementPolicy != "Parallel";
    on_delete_ = set.spec.updateStrategy.type == "OnDelete";
    if (set.spec.updateStrategy.rollingUpdate) {
      partition_ = set.spec.updateStrategy.rollingUpdate->partition.value_or(0);
      if (auto most = set.spec.updateStrategy.rollingUpdate->maxUnavailable) may_miss_ = scaled(*most);
    }
    plan_.status = set.status;
  }

  StatefulPlan run(const std::vector<PodPtr>& pods) {
    for (const PodPtr& pod : pods) {
      int32_t ordinal = ordinal_of(set_.metadata.name, pod->metadata.name);
      if (ordinal < 0) continue;
      (ordinal >= first_ && ordinal < first_ + count_ ? wanted_ : condemned_)[ordinal] = pod;
    }
    count();
    if (!is_deleting(set_.metadata)) {
      // Each step waits for the one before it, where the order says so.
      if (grow() && shrink() && !on_delete_) update();
    }
    complete_update();
    return std::move(plan_);
  }

 private:
  int32_t scaled(const schema::IntOrString& value) const {
    if (!value.is_string) return std::max(value.number, 1);
    int32_t percent = 0;
    std::from_chars(value.text.data(), value.text.data() + value.text.size(), percent);
    return std::max(static_cast<int32_t>(static_cast<int64_t>(percent) * count_ / 100), 1);
  }
  bool available(const core::Pod& pod) { return is_available(pod, set_.spec.minReadySeconds, plan_.again_after); }
  bool running_and_ready(const core::Pod& pod) const { return pod.status.phase == "Running" && is_ready(pod); }
  bool healthy(const core::Pod& pod) { return running_and_ready(pod) && available(pod) && !is_deleting(pod.metadata); }

  // Whether a pod that is made now is of the update revision.
  bool of_update(int32_t ordinal) const {
    if (current_ == update_) return true;
    if (on_delete_) return true;
    if (partition_ > 0) return ordinal >= first_ + partition_;
    // Pods of the old revision that were lost come back as such until the update reaches them.
    return ordinal >= first_ + plan_.status.currentReplicas;
  }

  // Makes what is missing and waits for what is not ready. False: the order forbids to go on.
  bool grow() {
    for (int32_t ordinal = first_; ordinal < first_ + count_; ++ordinal) {
      auto it = wanted_.find(ordinal);
      if (it == wanted_.end()) {
        plan_.create.push_back({ordinal, of_update(ordinal)});
        if (ordered_) return false;
        continue;
      }
      const core::Pod& pod = *it->second;
      if (pod.status.phase == "Failed" || pod.status.phase == "Succeeded") {
        if (!is_deleting(pod.metadata)) plan_.remove.push_back(it->second);
        if (ordered_) return false;
        continue;
      }
      if (!ordered_) continue;
      if (is_deleting(pod.metadata) || !running_and_ready(pod) || !available(pod)) return false;
    }
    return true;
  }

  // Ends what is too much, the highest first.
  bool shrink() {
    for (auto it = condemned_.rbegin(); it != condemned_.rend(); ++it) {
      const PodPtr& pod = it->second;
      if (is_deleting(pod->metadata)) {
        if (ordered_) return false;
        continue;
      }
      // With an order, a pod below that is not well has to recover first, unless it is this one.
      if (ordered_ && !running_and_ready(*pod) && first_unhealthy() != pod) return false;
      plan_.remove.push_back(pod);
      if (ordered_) return false;
    }
    return true;
  }

  PodPtr first_unhealthy() {
    for (const auto* pods : {&wanted_, &condemned_}) {
      for (const auto& [ordinal, pod] : *pods) {
        if (!healthy(*pod)) return pod;
      }
    }
    return nullptr;
  }

  // Replaces pods of other revisions, the highest first, as many at a time as may be missing.
  void update() {
    int32_t missing = 0;
    for (int32_t ordinal = first_; ordinal < first_ + count_; ++ordinal) {
      auto it = wanted_.find(ordinal);
      if (it == wanted_.end() || !healthy(*it->second)) ++missing;
    }
    for (auto it = wanted_.rbegin(); it != wanted_.rend(); ++it) {
      if (it->first < first_ + partition_) return;
      const PodPtr& pod = it->second;
      if (is_deleting(pod->metadata)) {
        if (may_miss_ == 1) return;
        continue;
      }
      if (revision_of(*pod) == update_) {
        // Wait until it is well before the next one goes.
        if (!healthy(*pod) && may_miss_ == 1) return;
        continue;
      }
      bool well = healthy(*pod);
      if (well && missing >= may_miss_) return;
      plan_.remove.push_back(pod);
      if (well) ++missing;
      if (may_miss_ == 1) return;
    }
  }

  void count() {
    apps::StatefulSetStatus& s = plan_.status;
    s.observedGeneration = set_.metadata.generation;
    s.replicas = s.readyReplicas = s.availableReplicas = s.currentReplicas = s.updatedReplicas = 0;
    s.currentRevision = current_;
    s.updateRevision = update_;
    for (const auto* pods : {&wanted_, &condemned_}) {
      for (const auto& [ordinal, pod] : *pods) {
        if (pod->status.phase.empty()) continue;
        ++s.replicas;
        if (running_and_ready(*pod)) {
          ++s.readyReplicas;
          if (available(*pod)) ++s.availableReplicas;
        }
        if (is_deleting(pod->metadata)) continue;
        if (revision_of(*pod) == current_) ++s.currentReplicas;
        if (revision_of(*pod) == update_) ++s.updatedReplicas;
      }
    }
  }

  void complete_update() {
    apps::StatefulSetStatus& s = plan_.status;
    if (on_delete_) return;
    if (s.updatedReplicas == s.replicas && s.readyReplicas == s.replicas && s.replicas == count_) {
      s.currentReplicas = s.updatedReplicas;
      s.currentRevision = update_;
    }
  }

  const apps::StatefulSet& set_;
  const std::string& current_;
  const std::string& update_;
  int32_t first_ = 0, count_ = 1, partition_ = 0, may_miss_ = 1;
  bool ordered_ = true, on_delete_ = false;
  std::map<int32_t, PodPtr> wanted_, condemned_;
  StatefulPlan plan_;
};

}  // namespace

int32_t ordinal_of(const std::string& set, const std::string& pod) {
  if (pod.size() <= set.size() + 1 || !pod.starts_with(set) || pod[set.size()] != '-') return -1;
  int32_t out = -1;
  const char* begin = pod.data() + set.size() + 1;
  const char* end = pod.data() + pod.size();
  auto [at, error] = std::from_chars(begin, end, out);
  return error == std::errc() && at == end && *begin != '-' && (*begin != '0' || end - begin == 1) ? out : -1;
}

std::vector<core::PersistentVolumeClaim> claims_of(const apps::StatefulSet& set, int32_t ordinal) {
  std::vector<core::PersistentVolumeClaim> out;
  for (const core::PersistentVolumeClaim& tmpl : set.spec.volumeClaimTemplates) {
    core::PersistentVolumeClaim& claim = out.emplace_back(tmpl);
    claim.metadata.name = claim_name(tmpl.metadata.name, set.metadata.name, ordinal);
    claim.metadata.namespace_ = set.metadata.namespace_;
    claim.status = {};
    if (set.spec.selector) {
      for (const auto& [key, value] : set.spec.selector->matchLabels) claim.metadata.labels[key] = value;
    }
  }
  return out;
}

core::Pod stateful_pod(const apps::StatefulSet& set, const core::PodTemplateSpec& tmpl, const std::string& revision,
                       int32_t ordinal) {
  core::Pod pod = pod_of(tmpl, set.metadata.namespace_, owned_by(set));
  pod.metadata.generateName.clear();
  pod.metadata.name = fmt::format("{}-{}", set.metadata.name, ordinal);
  pod.metadata.labels["statefulset.kubernetes.io/pod-name"] = pod.metadata.name;
  pod.metadata.labels["apps.kubernetes.io/pod-index"] = std::to_string(ordinal);
  pod.metadata.labels[kRevisionLabel] = revision;
  pod.spec.hostname = pod.metadata.name;
  pod.spec.subdomain = set.spec.serviceName;
  for (const core::PersistentVolumeClaim& claim : set.spec.volumeClaimTemplates) {
    // A claim takes the place of a volume of the same name.
    std::erase_if(pod.spec.volumes, [&](const core::Volume& v) { return v.name == claim.metadata.name; });
    core::Volume& volume = pod.spec.volumes.emplace_back();
    volume.name = claim.metadata.name;
    volume.persistentVolumeClaim.emplace().claimName = claim_name(claim.metadata.name, set.metadata.name, ordinal);
  }
  return pod;
}

StatefulPlan plan_stateful_set(const apps::StatefulSet& set, const std::vector<PodPtr>& pods,
                               const std::string& current, const std::string& update) {
  return Planner(set, current, update).run(pods);
}

}  // namespace redoubt::controllers
