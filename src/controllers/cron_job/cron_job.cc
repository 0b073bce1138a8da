#include <algorithm>

#include "base/log.h"
#include "client/event_recorder.h"
#include "controllers/cron_job/schedule.h"
#include "controllers/job/plan.h"
#include "controllers/workloads.h"
#include "schema/typed.h"

namespace redoubt::controllers {

namespace {

using JobPtr = std::shared_ptr<const batch::Job>;

constexpr std::chrono::milliseconds kAfter{100};  // past the full second, so that the clock has surely struck
constexpr int64_t kTooMany = 100;
constexpr const char* kScheduledAt = "batch.kubernetes.io/cronjob-scheduled-timestamp";

class CronJobController : public Controller {
 public:
  CronJobController(client::Client& api, WorkloadInformers& workloads)
      : api_(api),
        workloads_(workloads),
        events_(api, "cronjob-controller"),
        queue_(api.executor(), "cronjob", [this](std::string key) { return reconcile(std::move(key)); }) {
    workloads.cron_jobs.on_change([this](const auto& before, const auto& after) {
      const auto& cron = after ? after : before;
      queue_.add(cron->metadata.namespace_ + "/" + cron->metadata.name);
    });
    workloads.jobs.on_change([this](const auto& before, const auto& after) {
      const auto& job = after ? after : before;
      const auto* owner = controller_of(job->metadata);
      if (owner != nullptr && owner->kind == "CronJob") queue_.add(job->metadata.namespace_ + "/" + owner->name);
    });
  }
  Task<void> run() override {
    co_await workloads_.cron_jobs.wait_synced();
    co_await workloads_.jobs.wait_synced();
    co_await queue_.run();
  }

 private:
  Task<Result<client::WorkQueue::Outcome>> reconcile(std::string key) {
    client::WorkQueue::Outcome done;
    auto known = workloads_.cron_jobs.get(key);
    if (!known) co_return done;
    batch::CronJob cron = *known;
    std::vector<JobPtr> jobs = jobs_of(cron);
    batch::CronJobStatus before = cron.status;
    co_await follow_jobs(cron, jobs);
    RD_CO_TRYV(co_await clean_history(cron, jobs));
    if (!is_deleting(cron.metadata) && !cron.spec.suspend.value_or(false)) {
      auto next = co_await run_due(cron, jobs);
      if (!next) {
        // What was learnt of the jobs is kept all the same.
        if (!schema::equal(cron.status, before)) co_await api_.update_status(cron);
        co_return Error(next.error());
      }
      done.again_after = *next;
    }
    if (schema::equal(cron.status, before)) co_return done;
    auto written = co_await api_.update_status(cron);
    if (!written && !written.error().is("NotFound")) co_return Error(written.error());
    co_return done;
  }

  std::vector<JobPtr> jobs_of(const batch::CronJob& cron) const {
    std::vector<JobPtr> out;
    const auto& jobs = workloads_.jobs.objects();
    const std::string& ns = cron.metadata.namespace_;
    for (auto it = jobs.lower_bound(ns + "/"); it != jobs.end() && it->second->metadata.namespace_ == ns; ++it) {
      const auto* owner = controller_of(it->second->metadata);
      if (owner != nullptr && owner->uid == cron.metadata.uid) out.push_back(it->second);
    }
    return out;
  }

  // status.active and lastSuccessfulTime, from what became of the jobs.
  Task<void> follow_jobs(batch::CronJob& cron, const std::vector<JobPtr>& jobs) {
    auto& active = cron.status.active;
    for (const JobPtr& job : jobs) {
      auto at = std::find_if(active.begin(), active.end(),
                             [&](const core::ObjectReference& r) { return r.uid == job->metadata.uid; });
      bool finished = is_finished(job->status);
      if (at == active.end() && !finished) {
        // Made, but the status was never written.
        active.push_back(client::EventRecorder::about(*job));
      } else if (at != active.end() && finished) {
        active.erase(at);
        bool complete = true_condition(job->status, "Complete") != nullptr;
        co_await events_.record(
            client::EventRecorder::about(cron), "Normal", "SawCompletedJob",
            fmt::format("Saw completed job: {}, condition: {}", job->metadata.name, complete ? "Complete" : "Failed"));
      }
      if (true_condition(job->status, "Complete") != nullptr && job->status.completionTime &&
          (!cron.status.lastSuccessfulTime || *cron.status.lastSuccessfulTime < *job->status.completionTime))
        cron.status.lastSuccessfulTime = job->status.completionTime;
    }
    std::vector<core::ObjectReference> missing;
    for (const core::ObjectReference& r : active) {
      bool there = std::any_of(jobs.begin(), jobs.end(), [&](const JobPtr& j) { return j->metadata.uid == r.uid; });
      if (!there) missing.push_back(r);
    }
    for (const core::ObjectReference& r : missing) {
      // The informer may not show it yet.
      auto live = co_await api_.get<batch::Job>(r.namespace_, r.name);
      bool gone = live ? live->metadata.uid != r.uid : live.error().is("NotFound");
      if (!gone) continue;
      std::erase_if(active, [&](const core::ObjectReference& a) { return a.uid == r.uid; });
      co_await events_.record(client::EventRecorder::about(cron), "Normal", "MissingJob",
                              fmt::format("Active job went missing: {}", r.name));
    }
  }

  Task<Result<void>> clean_history(const batch::CronJob& cron, const std::vector<JobPtr>& jobs) {
    for (bool complete : {true, false}) {
      auto limit = complete ? cron.spec.successfulJobsHistoryLimit : cron.spec.failedJobsHistoryLimit;
      if (!limit) continue;
      std::vector<JobPtr> ended;
      for (const JobPtr& job : jobs) {
        if (true_condition(job->status, complete ? "Complete" : "Failed") != nullptr && !is_deleting(job->metadata))
          ended.push_back(job);
      }
      std::stable_sort(ended.begin(), ended.end(), [](const JobPtr& a, const JobPtr& b) {
        return a->metadata.creationTimestamp < b->metadata.creationTimestamp;
      });
      for (size_t i = 0; i + static_cast<size_t>(std::max(*limit, 0)) < ended.size(); ++i)
        RD_CO_TRYV(co_await remove_job(cron, ended[i]->metadata));
    }
    co_return Result<void>{};
  }

  Task<Result<void>> remove_job(const batch::CronJob& cron, meta::ObjectMeta job) {
    auto gone = co_await api_.remove<batch::Job>(job.namespace_, job.name,
                                                 {.propagation_policy = "Background", .uid = job.uid});
    if (!gone && !gone.error().is("NotFound") && !gone.error().is("Conflict")) co_return Error(gone.error());
    co_await events_.record(client::EventRecorder::about(cron), "Normal", "SuccessfulDelete",
                            fmt::format("Deleted job {}", job.name));
    co_return Result<void>{};
  }

  // Starts what is due; returns when to look again.
  Task<Result<std::optional<std::chrono::milliseconds>>> run_due(batch::CronJob& cron,
                                                                 const std::vector<JobPtr>& jobs) {
    std::optional<std::chrono::milliseconds> again;
    auto about = client::EventRecorder::about(cron);
    auto schedule = Schedule::parse(cron.spec.schedule);
    if (!schedule) {
      co_await events_.record(
          about, "Warning", "UnparseableSchedule",
          fmt::format("unparseable schedule \"{}\": {}", cron.spec.schedule, schedule.error().message()));
      co_return again;
    }
    auto zone = cron.spec.timeZone ? TimeZone::load(*cron.spec.timeZone) : Result<TimeZone>(TimeZone::utc());
    if (!zone) {
      co_await events_.record(about, "Warning", "UnknownTimeZone",
                              fmt::format("invalid timeZone: {}", zone.error().message()));
      co_return again;
    }
    Timestamp at = now();
    Timestamp since =
        cron.status.lastScheduleTime ? cron.status.lastScheduleTime->at : cron.metadata.creationTimestamp.at;
    if (cron.spec.startingDeadlineSeconds)
      since = std::max(since, at - std::chrono::seconds(*cron.spec.startingDeadlineSeconds));
    if (auto next = schedule->next(at, *zone))
      again = std::chrono::duration_cast<std::chrono::milliseconds>(*next - at) + kAfter;
    Due due = due_between(*schedule, *zone, since, at);
    if (due.missed > kTooMany) {
      co_await events_.record(about, "Warning", "TooManyMissedTimes",
                              fmt::format("too many missed start times: {}. Set or decrease "
                                          ".spec.startingDeadlineSeconds or check clock skew",
                                          due.missed));
    }
    if (!due.latest) co_return again;
    std::string name =
        fmt::format("{}-{}", cron.metadata.name,
                    std::chrono::duration_cast<std::chrono::minutes>(due.latest->time_since_epoch()).count());
    bool made_already =
        std::any_of(jobs.begin(), jobs.end(), [&](const JobPtr& j) { return j->metadata.name == name; });
    if (made_already) {
      cron.status.lastScheduleTime = schema::Time{*due.latest};
      co_return again;
    }
    if (cron.spec.concurrencyPolicy == "Forbid" && !cron.status.active.empty()) {
      co_await events_.record(about, "Normal", "JobAlreadyActive",
                              "Not starting job because prior execution is running and concurrency policy is Forbid");
      co_return again;
    }
    if (cron.spec.concurrencyPolicy == "Replace") {
      auto active = cron.status.active;
      for (const core::ObjectReference& r : active) {
        meta::ObjectMeta job;
        job.namespace_ = r.namespace_;
        job.name = r.name;
        job.uid = r.uid;
        RD_CO_TRYV(co_await remove_job(cron, std::move(job)));
        std::erase_if(cron.status.active, [&](const core::ObjectReference& a) { return a.uid == r.uid; });
      }
    }
    batch::Job job;
    job.metadata.namespace_ = cron.metadata.namespace_;
    job.metadata.name = name;
    job.metadata.labels = cron.spec.jobTemplate.metadata.labels;
    job.metadata.annotations = cron.spec.jobTemplate.metadata.annotations;
    job.metadata.annotations[kScheduledAt] = format_rfc3339(*due.latest);
    job.metadata.ownerReferences.push_back(owned_by(cron));
    job.spec = cron.spec.jobTemplate.spec;
    auto made = co_await api_.create(std::move(job));
    if (!made && made.error().is("AlreadyExists")) {
      auto live = co_await api_.get<batch::Job>(cron.metadata.namespace_, name);
      const auto* owner = live ? controller_of(live->metadata) : nullptr;
      if (owner == nullptr || owner->uid != cron.metadata.uid) co_return Error(made.error());
      made = std::move(live);
    }
    if (!made) {
      co_await events_.record(about, "Warning", "FailedCreate",
                              fmt::format("Error creating job: {}", made.error().message()));
      co_return Error(made.error());
    }
    co_await events_.record(about, "Normal", "SuccessfulCreate", fmt::format("Created job {}", name));
    cron.status.active.push_back(client::EventRecorder::about(*made));
    cron.status.lastScheduleTime = schema::Time{*due.latest};
    co_return again;
  }

  client::Client& api_;
  WorkloadInformers& workloads_;
  client::EventRecorder events_;
  client::WorkQueue queue_;
};

}  // namespace

std::unique_ptr<Controller> make_cron_job(client::Client& api, WorkloadInformers& workloads) {
  return std::make_unique<CronJobController>(api, workloads);
}

}  // namespace redoubt::controllers
