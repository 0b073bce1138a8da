#include <algorithm>

#include "base/log.h"
#include "base/random.h"
#include "client/event_recorder.h"
#include "controllers/job/plan.h"
#include "controllers/pods.h"
#include "controllers/workloads.h"
#include "schema/typed.h"

namespace redoubt::controllers {

namespace {

using PodPtr = std::shared_ptr<const core::Pod>;

// Changes of pods come in bursts; as upstream, a Job is looked at once a second for them.
constexpr std::chrono::milliseconds kBatch{100};
constexpr size_t kMaxHostPart = 63 - 6;

class JobController : public Controller {
 public:
  JobController(client::Client& api, Informers& informers, WorkloadInformers& workloads)
      : api_(api),
        informers_(informers),
        workloads_(workloads),
        events_(api, "job-controller"),
        expected_(informers, "Job"),
        queue_(api.executor(), "job", [this](std::string key) { return reconcile(std::move(key)); }) {
    workloads.jobs.on_change([this](const auto& before, const auto& after) {
      const auto& job = after ? after : before;
      queue_.add(job->metadata.namespace_ + "/" + job->metadata.name);
    });
    follow_pods_of(informers, "Job", [this](const std::string& key) { queue_.add_after(key, kBatch); });
  }
  Task<void> run() override {
    co_await informers_.pods.wait_synced();
    co_await workloads_.jobs.wait_synced();
    co_await queue_.run();
  }

 private:
  Task<Result<client::WorkQueue::Outcome>> reconcile(std::string key) {
    client::WorkQueue::Outcome done;
    auto known = workloads_.jobs.get(key);
    RD_CO_TRYV(co_await release_orphans(key, known ? known->metadata.uid : ""));
    if (!known) {
      expected_.forget(key);
      co_return done;
    }
    batch::Job job = *known;
    if (job.spec.managedBy && *job.spec.managedBy != "kubernetes.io/job-controller") co_return done;
    if (!expected_.met(key)) co_return client::WorkQueue::Outcome{.again_after = std::chrono::seconds(1)};
    JobPlan plan = plan_job(job, pods_controlled_by(informers_, job.metadata.namespace_, job.metadata.uid), now());
    if (!schema::equal(plan.status, job.status)) {
      batch::JobStatus before = job.status;
      job.status = plan.status;
      auto written = co_await api_.update_status(job);
      if (!written && written.error().is("NotFound")) co_return done;
      if (!written) co_return Error(written.error());
      job = std::move(*written);
      co_await tell(job, before);
    }
    for (const PodPtr& pod : plan.release) RD_CO_TRYV(co_await release(pod));
    for (const PodPtr& pod : plan.end) {
      RD_CO_TRYV(co_await release(pod));
      expected_.deleting(key, *pod);
      auto gone =
          co_await api_.remove<core::Pod>(pod->metadata.namespace_, pod->metadata.name, {.uid = pod->metadata.uid});
      if (!gone) {
        expected_.kept(key, *pod);
        if (!gone.error().is("NotFound") && !gone.error().is("Conflict")) co_return Error(gone.error());
        continue;
      }
      co_await events_.record(client::EventRecorder::about(job), "Normal", "SuccessfulDelete",
                              fmt::format("Deleted pod: {}", pod->metadata.name));
    }
    for (const NewPod& wanted : plan.create) {
      auto made = co_await api_.create(new_pod(job, wanted));
      if (!made) {
        co_await events_.record(client::EventRecorder::about(job), "Warning", "FailedCreate",
                                fmt::format("Error creating: {}", made.error().message()));
        co_return Error(made.error());
      }
      expected_.made(key, *made);
      co_await events_.record(client::EventRecorder::about(job), "Normal", "SuccessfulCreate",
                              fmt::format("Created pod: {}", made->metadata.name));
    }
    done.again_after = plan.again_after;
    co_return done;
  }

  // Pods whose Job is gone must not wait for it.
  Task<Result<void>> release_orphans(std::string key, std::string uid) {
    auto [ns, name] = split_key(key);
    std::vector<PodPtr> orphans;
    const auto& pods = informers_.pods.objects();
    for (auto it = pods.lower_bound(ns + "/"); it != pods.end() && it->second->metadata.namespace_ == ns; ++it) {
      const auto* owner = controller_of(it->second->metadata);
      if (owner != nullptr && owner->kind == "Job" && owner->name == name && owner->uid != uid &&
          has_tracking(*it->second))
        orphans.push_back(it->second);
    }
    for (const PodPtr& pod : orphans) RD_CO_TRYV(co_await release(pod));
    co_return Result<void>{};
  }

  // Takes the tracking finalizer off, against the version that was seen.
  Task<Result<void>> release(PodPtr pod) {
    if (!has_tracking(*pod)) co_return Result<void>{};
    auto written = co_await api_.patch<core::Pod>(
        pod->metadata.namespace_, pod->metadata.name, client::PatchType::StrategicMerge,
        fmt::format(R"({{"metadata":{{"uid":"{}","$deleteFromPrimitiveList/finalizers":["{}"]}}}})", pod->metadata.uid,
                    kJobTracking));
    if (!written && !written.error().is("NotFound") && !written.error().is("Conflict"))
      co_return Error(written.error());
    co_return Result<void>{};
  }

  core::Pod new_pod(const batch::Job& job, const NewPod& wanted) const {
    core::Pod pod = pod_of(job.spec.template_, job.metadata.namespace_, owned_by(job));
    pod.metadata.finalizers.push_back(kJobTracking);
    if (!wanted.index) return pod;
    std::string index = std::to_string(*wanted.index);
    pod.metadata.annotations[kCompletionIndex] = index;
    pod.metadata.labels[kCompletionIndex] = index;
    if (job.spec.backoffLimitPerIndex) pod.metadata.annotations[kIndexFailures] = std::to_string(wanted.index_failures);
    std::string base = job.metadata.name + "-" + index;
    pod.metadata.generateName = base + "-";
    if (pod.spec.hostname.empty() && base.size() <= kMaxHostPart + 6) pod.spec.hostname = base;
    core::EnvVar variable;
    variable.name = "JOB_COMPLETION_INDEX";
    variable.valueFrom.emplace().fieldRef.emplace().fieldPath =
        fmt::format("metadata.annotations['{}']", kCompletionIndex);
    for (auto* containers : {&pod.spec.initContainers, &pod.spec.containers}) {
      for (core::Container& container : *containers) {
        bool has = std::any_of(container.env.begin(), container.env.end(),
                               [](const core::EnvVar& v) { return v.name == "JOB_COMPLETION_INDEX"; });
        if (!has) container.env.push_back(variable);
      }
    }
    return pod;
  }

  Task<void> tell(const batch::Job& job, const batch::JobStatus& before) {
    auto fresh = [&](const char* type) {
      return true_condition(job.status, type) != nullptr && true_condition(before, type) == nullptr;
    };
    auto about = client::EventRecorder::about(job);
    if (fresh("Complete")) co_await events_.record(about, "Normal", "Completed", "Job completed");
    if (fresh("Failed")) {
      const auto* failed = true_condition(job.status, "Failed");
      co_await events_.record(about, "Warning", failed->reason, failed->message);
    }
    if (fresh("Suspended")) co_await events_.record(about, "Normal", "Suspended", "Job suspended");
    if (true_condition(before, "Suspended") != nullptr && true_condition(job.status, "Suspended") == nullptr)
      co_await events_.record(about, "Normal", "Resumed", "Job resumed");
  }

  client::Client& api_;
  Informers& informers_;
  WorkloadInformers& workloads_;
  client::EventRecorder events_;
  Expectations expected_;
  client::WorkQueue queue_;
};

// Deletes Jobs some time after they have finished (spec.ttlSecondsAfterFinished).
class TtlController : public Controller {
 public:
  TtlController(client::Client& api, WorkloadInformers& workloads)
      : api_(api),
        workloads_(workloads),
        queue_(api.executor(), "ttl-after-finished", [this](std::string key) { return reconcile(std::move(key)); }, 1) {
    workloads.jobs.on_change([this](const auto&, const auto& after) {
      if (after && after->spec.ttlSecondsAfterFinished && is_finished(after->status))
        queue_.add(after->metadata.namespace_ + "/" + after->metadata.name);
    });
  }
  Task<void> run() override { co_await queue_.run(); }

 private:
  static std::optional<Timestamp> expires(const batch::Job& job) {
    if (!job.spec.ttlSecondsAfterFinished || is_deleting(job.metadata)) return std::nullopt;
    const auto* end = true_condition(job.status, "Complete");
    if (end == nullptr) end = true_condition(job.status, "Failed");
    if (end == nullptr) return std::nullopt;
    return end->lastTransitionTime.at + std::chrono::seconds(*job.spec.ttlSecondsAfterFinished);
  }

  Task<Result<client::WorkQueue::Outcome>> reconcile(std::string key) {
    client::WorkQueue::Outcome done;
    auto known = workloads_.jobs.get(key);
    auto at = known ? expires(*known) : std::nullopt;
    if (!at) co_return done;
    if (*at > now()) {
      done.again_after =
          std::chrono::duration_cast<std::chrono::milliseconds>(*at - now()) + std::chrono::milliseconds(1);
      co_return done;
    }
    // The informer may be behind: somebody may have given it more time.
    auto [ns, name] = split_key(key);
    auto live = co_await api_.get<batch::Job>(ns, name);
    if (!live && live.error().is("NotFound")) co_return done;
    if (!live) co_return Error(live.error());
    auto live_at = expires(*live);
    if (!live_at || *live_at > now()) co_return done;
    auto gone = co_await api_.remove<batch::Job>(ns, name,
                                                 {.propagation_policy = "Foreground",
                                                  .uid = live->metadata.uid,
                                                  .resource_version = live->metadata.resourceVersion});
    if (!gone && !gone.error().is("NotFound")) co_return Error(gone.error());
    co_return done;
  }

  client::Client& api_;
  WorkloadInformers& workloads_;
  client::WorkQueue queue_;
};

}  // namespace

std::unique_ptr<Controller> make_job(client::Client& api, Informers& informers, WorkloadInformers& workloads) {
  return std::make_unique<JobController>(api, informers, workloads);
}

std::unique_ptr<Controller> make_ttl_after_finished(client::Client& api, WorkloadInformers& workloads) {
  return std::make_unique<TtlController>(api, workloads);
}

}  // namespace redoubt::controllers
