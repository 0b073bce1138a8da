#include "controllers/job/plan.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "controllers/job/indexes.h"

namespace redoubt::controllers {

namespace {

using PodPtr = std::shared_ptr<const core::Pod>;

constexpr std::chrono::seconds kBackoff{10}, kLongestBackoff{600};  // between a pod's failure and its replacement
constexpr int32_t kMaxCreatedAtOnce = 500;
constexpr size_t kMaxUncounted = 500;  // uids in the status at a time

int32_t annotation(const core::Pod& pod, const char* key, int32_t fallback) {
  auto it = pod.metadata.annotations.find(key);
  int32_t out = fallback;
  if (it != pod.metadata.annotations.end())
    std::from_chars(it->second.data(), it->second.data() + it->second.size(), out);
  return out;
}

Timestamp finished_at(const core::Pod& pod) {
  Timestamp out{};
  for (const auto& c : pod.status.containerStatuses) {
    if (c.state.terminated && c.state.terminated->finishedAt.at > out) out = c.state.terminated->finishedAt.at;
  }
  if (out != Timestamp{}) return out;
  for (const auto& c : pod.status.conditions) {
    if (c.type == "Ready") return c.lastTransitionTime.at;
  }
  return is_deleting(pod.metadata) ? pod.metadata.deletionTimestamp->at : pod.metadata.creationTimestamp.at;
}

void set_condition(batch::JobStatus& status, const char* type, bool value, std::string reason, std::string message,
                   Timestamp at) {
  batch::JobCondition* found = nullptr;
  for (auto& c : status.conditions) {
    if (c.type == type) found = &c;
  }
  std::string text = value ? "True" : "False";
  if (found != nullptr && found->status == text) return;
  if (found == nullptr) {
    if (!value) return;
    found = &status.conditions.emplace_back();
    found->type = type;
  }
  found->status = text;
  found->reason = std::move(reason);
  found->message = std::move(message);
  found->lastProbeTime = found->lastTransitionTime = {std::chrono::floor<std::chrono::seconds>(at)};
}

// What a failure policy says of a failed pod: the rule that matches first.
struct Verdict {
  std::string action = "Count";  // Count, Ignore, FailJob, FailIndex
  std::string message;
};

bool matches_exit(const batch::PodFailurePolicyOnExitCodesRequirement& rule, const core::Pod& pod, std::string& why) {
  auto look = [&](const std::vector<core::ContainerStatus>& statuses) {
    for (const auto& c : statuses) {
      if (rule.containerName && *rule.containerName != c.name) continue;
      if (!c.state.terminated || c.state.terminated->exitCode == 0) continue;
      int32_t code = c.state.terminated->exitCode;
      bool listed = std::find(rule.values.begin(), rule.values.end(), code) != rule.values.end();
      if (listed != (rule.operator_ == "In")) continue;
      why = fmt::format("Container {} for pod {}/{} failed with exit code {} matching", c.name, pod.metadata.namespace_,
                        pod.metadata.name, code);
      return true;
    }
    return false;
  };
  return look(pod.status.containerStatuses) || look(pod.status.initContainerStatuses);
}

Verdict judge(const batch::Job& job, const core::Pod& pod) {
  Verdict out;
  if (!job.spec.podFailurePolicy || pod.status.phase != "Failed") return out;
  const auto& rules = job.spec.podFailurePolicy->rules;
  for (size_t i = 0; i < rules.size(); ++i) {
    std::string why;
    bool hit = rules[i].onExitCodes && matches_exit(*rules[i].onExitCodes, pod, why);
    for (const auto& pattern : rules[i].onPodConditions) {
      for (const auto& c : pod.status.conditions) {
        if (hit || c.type != pattern.type || c.status != (pattern.status.empty() ? "True" : pattern.status)) continue;
        hit = true;
        why = fmt::format("Pod {}/{} has condition {} matching", pod.metadata.namespace_, pod.metadata.name, c.type);
      }
    }
    if (!hit) continue;
    out.action = rules[i].action;
    out.message = fmt::format("{} {} rule at index {}", why, rules[i].action, i);
    return out;
  }
  return out;
}

class Planner {
 public:
  Planner(const batch::Job& job, const std::vector<PodPtr>& pods, Timestamp at) : job_(job), pods_(pods), at_(at) {
    indexed_ = job.spec.completionMode == "Indexed";
    per_index_ = indexed_ && job.spec.backoffLimitPerIndex.has_value();
    completions_ = job.spec.completions.value_or(0);
    only_failed_ = job.spec.podReplacementPolicy == "Failed";
    suspended_ = job.spec.suspend.value_or(false);
    plan_.status = job.status;
  }

  JobPlan run() {
    batch::JobStatus& status = plan_.status;
    if (is_finished(status)) {
      // Whatever is left over is let go.
      for (const PodPtr& pod : pods_) {
        if (has_tracking(*pod)) plan_.release.push_back(pod);
      }
      return std::move(plan_);
    }
    if (!status.startTime && !suspended_)
      status.startTime = schema::Time{std::chrono::floor<std::chrono::seconds>(at_)};
    settle_counted();
    sort_pods();
    decide_end();
    count_finished();
    if (!ending_) follow_suspension();
    if (!is_deleting(job_.metadata)) manage();
    finish();
    return std::move(plan_);
  }

 private:
  bool failed(const core::Pod& pod) const {
    if (pod.status.phase == "Failed") return true;
    return !only_failed_ && is_deleting(pod.metadata) && pod.status.phase != "Succeeded";
  }
  int32_t index_of(const core::Pod& pod) const { return annotation(pod, kCompletionIndex, -1); }
  bool valid_index(int32_t i) const { return i >= 0 && i < completions_; }

  // Uids whose pods have lost their finalizer are counted for good.
  void settle_counted() {
    batch::JobStatus& status = plan_.status;
    if (!status.uncountedTerminatedPods) return;
    std::set<std::string> held;
    for (const PodPtr& pod : pods_) {
      if (has_tracking(*pod)) held.insert(pod->metadata.uid);
    }
    auto settle = [&](std::vector<std::string>& uids, int32_t& count) {
      count += static_cast<int32_t>(std::erase_if(uids, [&](const std::string& uid) { return !held.contains(uid); }));
    };
    settle(status.uncountedTerminatedPods->succeeded, status.succeeded);
    settle(status.uncountedTerminatedPods->failed, status.failed);
  }

  void sort_pods() {
    batch::JobStatus& status = plan_.status;
    completed_ = parse_indexes(status.completedIndexes, completions_);
    if (status.failedIndexes) failed_indexes_ = parse_indexes(*status.failedIndexes, completions_);
    int32_t terminating = 0, ready = 0;
    for (const PodPtr& pod : pods_) {
      bool ended = pod->status.phase == "Succeeded" || pod->status.phase == "Failed";
      if (is_deleting(pod->metadata) && !ended) {
        ++terminating;
        terminating_.push_back(pod);
      } else if (!ended) {
        active_.push_back(pod);
        if (is_ready(*pod)) ++ready;
      }
    }
    status.terminating = terminating;
    status.ready = ready;
    for (const PodPtr& pod : pods_) {
      if (!has_tracking(*pod)) continue;
      if (pod->status.phase == "Succeeded") {
        if (indexed_ && valid_index(index_of(*pod))) completed_.insert(index_of(*pod));
        if (!indexed_) ++new_succeeded_;
      } else if (failed(*pod)) {
        Verdict verdict = judge(job_, *pod);
        if (verdict.action == "FailJob" && fail_message_.empty()) fail_message_ = verdict.message;
        int32_t index = index_of(*pod);
        if (per_index_ && valid_index(index) && verdict.action != "Ignore") {
          if (verdict.action == "FailIndex" || annotation(*pod, kIndexFailures, 0) >= *job_.spec.backoffLimitPerIndex)
            failed_indexes_.insert(index);
        }
        if (verdict.action != "Ignore") ++new_failed_;
      }
    }
    status.active = static_cast<int32_t>(active_.size());
    note_failures();
  }

  // What the wait before the next pod follows from: failures since the last success.
  void note_failures() {
    Timestamp last_success{};
    for (const PodPtr& pod : pods_) {
      if (pod->status.phase == "Succeeded") last_success = std::max(last_success, finished_at(*pod));
    }
    for (const PodPtr& pod : pods_) {
      if (pod->status.phase != "Failed" || finished_at(*pod) <= last_success) continue;
      ++recent_failures_;
      last_failure_ = std::max(last_failure_, finished_at(*pod));
    }
  }

  int32_t succeeded() const {
    return indexed_ ? static_cast<int32_t>(completed_.size()) : plan_.status.succeeded + new_succeeded_;
  }
  int32_t failures() const { return plan_.status.failed + new_failed_; }

  void fail(std::string reason, std::string message) {
    ending_ = true;
    failing_ = true;
    set_condition(plan_.status, "FailureTarget", true, std::move(reason), std::move(message), at_);
  }
  void succeed(std::string reason, std::string message) {
    ending_ = true;
    set_condition(plan_.status, "SuccessCriteriaMet", true, std::move(reason), std::move(message), at_);
  }

  void decide_end() {
    const batch::JobStatus& status = plan_.status;
    if (true_condition(status, "FailureTarget") != nullptr) {
      ending_ = failing_ = true;
      return;
    }
    if (true_condition(status, "SuccessCriteriaMet") != nullptr) {
      ending_ = true;
      return;
    }
    if (!fail_message_.empty()) return fail("PodFailurePolicy", fail_message_);
    if (job_.spec.successPolicy && indexed_) {
      const auto& rules = job_.spec.successPolicy->rules;
      for (size_t i = 0; i < rules.size(); ++i) {
        std::set<int32_t> of = completed_;
        size_t wanted = 0;
        if (rules[i].succeededIndexes) {
          auto listed = parse_indexes(*rules[i].succeededIndexes, completions_);
          std::erase_if(of, [&](int32_t index) { return !listed.contains(index); });
          wanted = listed.size();
        }
        if (rules[i].succeededCount) wanted = static_cast<size_t>(*rules[i].succeededCount);
        if (wanted > 0 && of.size() >= wanted)
          return succeed("SuccessPolicy", fmt::format("Matched rules at index {}", i));
      }
    }
    int32_t limit = job_.spec.backoffLimit.value_or(per_index_ ? INT32_MAX : 6);
    bool restarts = job_.spec.template_.spec.restartPolicy == "OnFailure";
    int64_t restarted = 0;
    if (restarts) {
      for (const PodPtr& pod : active_) {
        for (const auto& c : pod->status.containerStatuses) restarted += c.restartCount;
        for (const auto& c : pod->status.initContainerStatuses) restarted += c.restartCount;
      }
    }
    if (failures() > limit || (restarts && restarted > 0 && restarted >= limit))
      return fail("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    if (job_.spec.activeDeadlineSeconds && status.startTime && !suspended_) {
      auto left = status.startTime->at + std::chrono::seconds(*job_.spec.activeDeadlineSeconds) - at_;
      if (left.count() <= 0) return fail("DeadlineExceeded", "Job was active longer than specified deadline");
      look_again(std::chrono::duration_cast<std::chrono::milliseconds>(left) + std::chrono::milliseconds(1));
    }
    if (per_index_) {
      auto failed_count = static_cast<int32_t>(failed_indexes_.size());
      if (job_.spec.maxFailedIndexes && failed_count > *job_.spec.maxFailedIndexes)
        return fail("MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes");
      if (failed_count > 0 && failed_count + succeeded() >= completions_)
        return fail("FailedIndexes", "Job has failed indexes");
    }
    bool complete = job_.spec.completions ? succeeded() >= completions_
                                          : succeeded() > 0 && active_.empty() && terminating_.empty();
    if (complete && (!suspended_ || job_.spec.completions))
      succeed("CompletionsReached", "Reached expected number of succeeded pods");
  }

  // The last failed pod of an index tells its replacement how often it failed: it is kept until there is one.
  bool still_needed(const core::Pod& pod) const {
    if (!per_index_ || ending_ || is_deleting(job_.metadata)) return false;
    int32_t index = index_of(pod);
    if (!valid_index(index) || failed_indexes_.contains(index) || completed_.contains(index)) return false;
    int32_t own = annotation(pod, kIndexFailures, 0);
    return std::none_of(pods_.begin(), pods_.end(), [&](const PodPtr& other) {
      return other->metadata.uid != pod.metadata.uid && index_of(*other) == index &&
             annotation(*other, kIndexFailures, 0) > own;
    });
  }

  void count_finished() {
    batch::JobStatus& status = plan_.status;
    auto& uncounted = status.uncountedTerminatedPods;
    if (!uncounted) uncounted.emplace();
    auto knows = [](const std::vector<std::string>& list, const std::string& uid) {
      return std::find(list.begin(), list.end(), uid) != list.end();
    };
    for (const PodPtr& pod : pods_) {
      if (!has_tracking(*pod)) continue;
      const std::string& uid = pod->metadata.uid;
      bool down = failed(*pod);
      if (pod->status.phase != "Succeeded" && !down) {
        continue;
      }
      if (down && pod->status.phase != "Succeeded" && still_needed(*pod)) continue;
      if (uncounted->succeeded.size() + uncounted->failed.size() >= kMaxUncounted) {
        look_again(std::chrono::milliseconds(100));
        break;
      }
      plan_.release.push_back(pod);
      if (pod->status.phase == "Succeeded" && !knows(uncounted->failed, uid)) {
        if (!indexed_ && !knows(uncounted->succeeded, uid)) uncounted->succeeded.push_back(uid);
      } else if (!knows(uncounted->failed, uid) && judge(job_, *pod).action != "Ignore") {
        if (!indexed_ || valid_index(index_of(*pod))) uncounted->failed.push_back(uid);
      }
    }
    if (indexed_) {
      status.completedIndexes = format_indexes(completed_);
      status.succeeded = static_cast<int32_t>(completed_.size());
    }
    if (per_index_) status.failedIndexes = format_indexes(failed_indexes_);
  }

  void follow_suspension() {
    batch::JobStatus& status = plan_.status;
    const auto* was = true_condition(status, "Suspended");
    if (suspended_) {
      set_condition(status, "Suspended", true, "JobSuspended", "Job suspended", at_);
      status.startTime.reset();
    } else if (was != nullptr) {
      set_condition(status, "Suspended", false, "JobResumed", "Job resumed", at_);
      status.startTime = schema::Time{std::chrono::floor<std::chrono::seconds>(at_)};
    }
  }

  void manage() {
    auto active = static_cast<int32_t>(active_.size());
    if (ending_ || suspended_) {
      plan_.end = active_;
      plan_.status.active = 0;
      // Ended because the job failed: they count as failures, as the finished ones do.
      if (ending_ && failing_) {
        for (const PodPtr& pod : active_) {
          auto& list = plan_.status.uncountedTerminatedPods->failed;
          if (has_tracking(*pod) && list.size() < kMaxUncounted &&
              std::find(list.begin(), list.end(), pod->metadata.uid) == list.end())
            list.push_back(pod->metadata.uid);
        }
      }
      return;
    }
    int32_t parallelism = std::max(job_.spec.parallelism.value_or(1), 0), wanted = parallelism;
    if (!job_.spec.completions) {
      if (succeeded() > 0) wanted = std::min(active, parallelism);
    } else {
      wanted = std::min(parallelism,
                        completions_ - succeeded() - (per_index_ ? static_cast<int32_t>(failed_indexes_.size()) : 0));
    }
    wanted = std::max(wanted, 0);
    std::vector<PodPtr> surplus;
    if (indexed_) {
      // Two pods of one index, or one of an index that is done.
      std::set<int32_t> seen;
      for (const PodPtr& pod : active_) {
        int32_t index = index_of(*pod);
        if (!valid_index(index) || completed_.contains(index) || failed_indexes_.contains(index) ||
            !seen.insert(index).second)
          surplus.push_back(pod);
      }
    }
    if (active - static_cast<int32_t>(surplus.size()) > wanted) {
      std::vector<PodPtr> rest;
      for (const PodPtr& pod : active_) {
        if (std::find(surplus.begin(), surplus.end(), pod) == surplus.end()) rest.push_back(pod);
      }
      auto rank = [](const core::Pod& pod) {
        return std::make_tuple(!pod.spec.nodeName.empty(), pod.status.phase == "Running", is_ready(pod));
      };
      std::stable_sort(rest.begin(), rest.end(), [&](const PodPtr& a, const PodPtr& b) {
        if (rank(*a) != rank(*b)) return rank(*a) < rank(*b);
        return a->metadata.creationTimestamp > b->metadata.creationTimestamp;
      });
      rest.resize(rest.size() - static_cast<size_t>(wanted));
      surplus.insert(surplus.end(), rest.begin(), rest.end());
    }
    plan_.end = surplus;
    active -= static_cast<int32_t>(surplus.size());
    plan_.status.active = active;
    int32_t missing = wanted - active - (only_failed_ ? static_cast<int32_t>(terminating_.size()) : 0);
    if (missing <= 0 || !surplus.empty()) return;
    if (auto wait = backoff(recent_failures_, last_failure_); !per_index_ && wait.count() > 0) {
      look_again(wait);
      return;
    }
    create(std::min(missing, kMaxCreatedAtOnce));
  }

  // After failures, longer and longer until the next pod.
  std::chrono::milliseconds backoff(int32_t count, Timestamp last) const {
    if (count <= 0) return std::chrono::milliseconds(0);
    auto delay = std::min<std::chrono::seconds>(kBackoff * (1LL << std::min(count - 1, 10)), kLongestBackoff);
    return std::max(std::chrono::milliseconds(0),
                    std::chrono::duration_cast<std::chrono::milliseconds>(last + delay - at_));
  }

  void create(int32_t count) {
    if (!indexed_) {
      plan_.create.resize(static_cast<size_t>(count));
    } else {
      std::set<int32_t> taken = completed_;
      taken.insert(failed_indexes_.begin(), failed_indexes_.end());
      for (const PodPtr& pod : active_) taken.insert(index_of(*pod));
      if (only_failed_) {
        for (const PodPtr& pod : terminating_) taken.insert(index_of(*pod));
      }
      for (int32_t i = 0; i < completions_ && count > 0; ++i) {
        if (taken.contains(i)) continue;
        NewPod pod;
        pod.index = i;
        Timestamp last{};
        for (const PodPtr& before : pods_) {
          if (!per_index_ || index_of(*before) != i || !failed(*before)) continue;
          int32_t counted = judge(job_, *before).action == "Ignore" ? 0 : 1;
          pod.index_failures = std::max(pod.index_failures, annotation(*before, kIndexFailures, 0) + counted);
          last = std::max(last, finished_at(*before));
        }
        if (auto wait = backoff(pod.index_failures, last); wait.count() > 0) {
          look_again(wait);
          continue;
        }
        plan_.create.push_back(pod);
        --count;
      }
    }
    plan_.status.active += static_cast<int32_t>(plan_.create.size());
  }

  // The last word is said only when every pod has ended and is counted.
  void finish() {
    batch::JobStatus& status = plan_.status;
    auto& uncounted = status.uncountedTerminatedPods;
    bool open = uncounted && !(uncounted->succeeded.empty() && uncounted->failed.empty());
    if (!ending_ || open || !active_.empty() || !terminating_.empty() || !plan_.release.empty()) return;
    const auto* failing = true_condition(status, "FailureTarget");
    const auto* success = true_condition(status, "SuccessCriteriaMet");
    if (failing != nullptr) {
      set_condition(status, "Failed", true, std::string(failing->reason), std::string(failing->message), at_);
    } else if (success != nullptr) {
      set_condition(status, "Complete", true, std::string(success->reason), std::string(success->message), at_);
      status.completionTime = schema::Time{std::chrono::floor<std::chrono::seconds>(at_)};
    }
    status.active = 0;
    status.ready = status.terminating = 0;
  }

  void look_again(std::chrono::milliseconds wait) {
    if (!plan_.again_after || wait < *plan_.again_after) plan_.again_after = wait;
  }

  const batch::Job& job_;
  const std::vector<PodPtr>& pods_;
  Timestamp at_;
  JobPlan plan_;
  bool indexed_ = false, per_index_ = false, only_failed_ = false, suspended_ = false;
  bool ending_ = false, failing_ = false;
  int32_t completions_ = 0;
  int32_t new_succeeded_ = 0, new_failed_ = 0;  // finished and not yet in the counts
  int32_t recent_failures_ = 0;
  Timestamp last_failure_{};
  std::string fail_message_;
  std::set<int32_t> completed_, failed_indexes_;
  std::vector<PodPtr> active_, terminating_;
};

}  // namespace

const batch::JobCondition* true_condition(const batch::JobStatus& status, std::string_view type) {
  for (const auto& c : status.conditions) {
    if (c.type == type && c.status == "True") return &c;
  }
  return nullptr;
}

bool is_finished(const batch::JobStatus& status) {
  return true_condition(status, "Complete") != nullptr || true_condition(status, "Failed") != nullptr;
}

bool has_tracking(const core::Pod& pod) {
  return std::find(pod.metadata.finalizers.begin(), pod.metadata.finalizers.end(), kJobTracking) !=
         pod.metadata.finalizers.end();
}

JobPlan plan_job(const batch::Job& job, const std::vector<PodPtr>& pods, Timestamp at) {
  return Planner(job, pods, at).run();
}

}  // namespace redoubt::controllers
