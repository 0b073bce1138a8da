#include <gtest/gtest.h>

#include "controllers/job/indexes.h"
#include "controllers/job/plan.h"

namespace redoubt::controllers {
namespace {

using PodPtr = std::shared_ptr<const core::Pod>;
const Timestamp kNow = *parse_rfc3339("2026-01-01T12:00:00Z");

batch::Job job(std::optional<int32_t> completions, int32_t parallelism = 1) {
  batch::Job out;
  out.metadata.name = "j";
  out.metadata.uid = "job-uid";
  out.spec.completions = completions;
  out.spec.parallelism = parallelism;
  out.spec.backoffLimit = 6;
  out.spec.completionMode = "NonIndexed";
  out.spec.template_.spec.restartPolicy = "Never";
  return out;
}

struct P {
  std::shared_ptr<core::Pod> pod = std::make_shared<core::Pod>();
  P(std::string name, std::string phase) {
    pod->metadata.name = name;
    pod->metadata.uid = "uid-" + name;
    pod->metadata.finalizers = {kJobTracking};
    pod->status.phase = std::move(phase);
  }
  P& index(int i) {
    pod->metadata.annotations[kCompletionIndex] = std::to_string(i);
    return *this;
  }
  P& counted() {
    pod->metadata.finalizers.clear();
    return *this;
  }
  P& deleting() {
    pod->metadata.deletionTimestamp = schema::Time{kNow};
    return *this;
  }
  P& exited(int code, std::chrono::seconds ago) {
    auto& c = pod->status.containerStatuses.emplace_back();
    c.name = "c";
    c.state.terminated.emplace().exitCode = code;
    c.state.terminated->finishedAt = schema::Time{kNow - ago};
    return *this;
  }
  operator PodPtr() const { return pod; }
};

TEST(Indexes, ReadAndWriteRanges) {
  EXPECT_EQ(parse_indexes("0,2-4,9", 9), (std::set<int32_t>{0, 2, 3, 4}));
  EXPECT_EQ(format_indexes({0, 2, 3, 4, 6, 7}), "0,2-4,6,7");
  EXPECT_EQ(format_indexes({}), "");
  EXPECT_TRUE(parse_indexes("x,-3,4-", 9).empty());
}

TEST(JobPlan, StartsAsManyAsMayRunAtOnce) {
  auto plan = plan_job(job(5, 2), {}, kNow);
  EXPECT_EQ(plan.create.size(), 2u);
  EXPECT_EQ(plan.status.active, 2);
  EXPECT_TRUE(plan.status.startTime);
  EXPECT_TRUE(plan_job(job(5, 2), {P("a", "Running"), P("b", "Pending")}, kNow).create.empty());
}

TEST(JobPlan, CountsAFinishedPodOnceItIsWrittenDownAndLetGo) {
  batch::Job j = job(2);
  P done("a", "Succeeded");
  auto first = plan_job(j, {done}, kNow);
  EXPECT_EQ(first.status.uncountedTerminatedPods->succeeded, std::vector<std::string>{"uid-a"});
  EXPECT_EQ(first.status.succeeded, 0);
  EXPECT_EQ(first.release.size(), 1u);
  EXPECT_EQ(first.create.size(), 1u) << "it counts for what is left to do at once";
  j.status = first.status;
  // Nothing new while the finalizer is still there, however often one looks.
  auto again = plan_job(j, {done}, kNow);
  EXPECT_EQ(again.status.uncountedTerminatedPods->succeeded.size(), 1u);
  EXPECT_EQ(again.status.succeeded, 0);
  done.counted();
  auto after = plan_job(j, {done}, kNow);
  EXPECT_EQ(after.status.succeeded, 1);
  EXPECT_TRUE(after.status.uncountedTerminatedPods->succeeded.empty());
  // Or when the pod is gone altogether.
  EXPECT_EQ(plan_job(j, {}, kNow).status.succeeded, 1);
}

TEST(JobPlan, IsCompleteOnlyWhenEveryPodHasEndedAndIsCounted) {
  batch::Job j = job(1, 2);
  P done("a", "Succeeded"), other("b", "Running");
  auto plan = plan_job(j, {done, other}, kNow);
  EXPECT_NE(true_condition(plan.status, "SuccessCriteriaMet"), nullptr);
  EXPECT_FALSE(is_finished(plan.status));
  ASSERT_EQ(plan.end.size(), 1u);
  EXPECT_EQ(plan.end[0]->metadata.name, "b");
  j.status = plan.status;
  auto last = plan_job(j, {done.counted()}, kNow);
  EXPECT_NE(true_condition(last.status, "Complete"), nullptr);
  EXPECT_TRUE(last.status.completionTime);
  EXPECT_EQ(last.status.succeeded, 1);
}

TEST(JobPlan, FailsBeyondTheBackoffLimit) {
  batch::Job j = job(1);
  j.spec.backoffLimit = 0;
  auto plan = plan_job(j, {P("a", "Failed").exited(1, std::chrono::seconds(1))}, kNow);
  ASSERT_NE(true_condition(plan.status, "FailureTarget"), nullptr);
  EXPECT_EQ(true_condition(plan.status, "FailureTarget")->reason, "BackoffLimitExceeded");
  j.status = plan.status;
  auto last = plan_job(j, {}, kNow);
  ASSERT_NE(true_condition(last.status, "Failed"), nullptr);
  EXPECT_EQ(last.status.failed, 1);
}

TEST(JobPlan, WaitsLongerAfterEachFailure) {
  batch::Job j = job(1);
  std::vector<PodPtr> pods{P("a", "Failed").exited(1, std::chrono::seconds(4)).counted()};
  auto plan = plan_job(j, pods, kNow);
  EXPECT_TRUE(plan.create.empty());
  EXPECT_EQ(plan.again_after, std::chrono::milliseconds(6000));
  EXPECT_EQ(plan_job(j, pods, kNow + std::chrono::seconds(6)).create.size(), 1u);
  pods.push_back(P("b", "Failed").exited(1, std::chrono::seconds(4)).counted());
  EXPECT_EQ(plan_job(j, pods, kNow).again_after, std::chrono::milliseconds(16000));
}

TEST(JobPlan, StopsAtItsDeadline) {
  batch::Job j = job(1);
  j.spec.activeDeadlineSeconds = 10;
  j.status.startTime = schema::Time{kNow - std::chrono::seconds(4)};
  EXPECT_EQ(plan_job(j, {P("a", "Running")}, kNow).again_after, std::chrono::milliseconds(6001));
  j.status.startTime = schema::Time{kNow - std::chrono::seconds(11)};
  auto plan = plan_job(j, {P("a", "Running")}, kNow);
  EXPECT_EQ(true_condition(plan.status, "FailureTarget")->reason, "DeadlineExceeded");
  EXPECT_EQ(plan.end.size(), 1u);
}

TEST(JobPlan, SuspendedRunsNothingAndStartsAnewWhenResumed) {
  batch::Job j = job(1);
  j.spec.suspend = true;
  auto plan = plan_job(j, {P("a", "Running")}, kNow);
  EXPECT_EQ(plan.end.size(), 1u);
  EXPECT_TRUE(plan.create.empty());
  EXPECT_FALSE(plan.status.startTime);
  EXPECT_EQ(true_condition(plan.status, "Suspended")->reason, "JobSuspended");
  EXPECT_TRUE(plan.status.uncountedTerminatedPods->failed.empty()) << "what suspension ends is no failure";
  j.status = plan.status;
  j.spec.suspend = false;
  auto resumed = plan_job(j, {}, kNow);
  EXPECT_EQ(true_condition(resumed.status, "Suspended"), nullptr);
  EXPECT_TRUE(resumed.status.startTime);
  EXPECT_EQ(resumed.create.size(), 1u);
}

TEST(JobPlan, IndexedJobsFillTheirLowestIndexes) {
  batch::Job j = job(4, 3);
  j.spec.completionMode = "Indexed";
  auto plan = plan_job(j, {P("a", "Running").index(1), P("b", "Succeeded").index(0)}, kNow);
  ASSERT_EQ(plan.create.size(), 2u);
  EXPECT_EQ(plan.create[0].index, 2);
  EXPECT_EQ(plan.create[1].index, 3);
  EXPECT_EQ(plan.status.completedIndexes, "0");
  EXPECT_EQ(plan.status.succeeded, 1);
  // Two of one index: one too many.
  EXPECT_EQ(plan_job(j, {P("a", "Running").index(1), P("b", "Running").index(1)}, kNow).end.size(), 1u);
}

TEST(JobPlan, AFailedIndexDoesNotFailTheOthers) {
  batch::Job j = job(2, 2);
  j.spec.completionMode = "Indexed";
  j.spec.backoffLimit = std::nullopt;
  j.spec.backoffLimitPerIndex = 0;
  auto plan =
      plan_job(j, {P("a", "Failed").index(0).exited(1, std::chrono::seconds(100)), P("b", "Running").index(1)}, kNow);
  EXPECT_EQ(plan.status.failedIndexes, "0");
  EXPECT_TRUE(plan.create.empty());
  EXPECT_EQ(true_condition(plan.status, "FailureTarget"), nullptr);
  auto end =
      plan_job(j, {P("a", "Failed").index(0).exited(1, std::chrono::seconds(100)), P("b", "Succeeded").index(1)}, kNow);
  EXPECT_EQ(true_condition(end.status, "FailureTarget")->reason, "FailedIndexes");
}

TEST(JobPlan, KeepsAnIndexsFailedPodUntilItsSuccessorKnowsTheCount) {
  batch::Job j = job(1);
  j.spec.completionMode = "Indexed";
  j.spec.backoffLimit = std::nullopt;
  j.spec.backoffLimitPerIndex = 2;
  P failed = P("a", "Failed").index(0).exited(1, std::chrono::seconds(100));
  auto plan = plan_job(j, {failed}, kNow);
  EXPECT_TRUE(plan.release.empty());
  ASSERT_EQ(plan.create.size(), 1u);
  EXPECT_EQ(plan.create[0].index_failures, 1);
  P next = P("b", "Running").index(0);
  next.pod->metadata.annotations[kIndexFailures] = "1";
  EXPECT_EQ(plan_job(j, {failed, next}, kNow).release.size(), 1u);
}

TEST(JobPlan, FailurePoliciesIgnoreOrEndTheJob) {
  batch::Job j = job(1);
  auto& rules = j.spec.podFailurePolicy.emplace().rules;
  auto& ignore = rules.emplace_back();
  ignore.action = "Ignore";
  ignore.onPodConditions.emplace_back().type = "DisruptionTarget";
  auto& fail = rules.emplace_back();
  fail.action = "FailJob";
  fail.onExitCodes.emplace().operator_ = "In";
  fail.onExitCodes->values = {42};
  P disrupted = P("a", "Failed").exited(1, std::chrono::seconds(100));
  auto& c = disrupted.pod->status.conditions.emplace_back();
  c.type = "DisruptionTarget";
  c.status = "True";
  auto ignored = plan_job(j, {disrupted}, kNow);
  EXPECT_TRUE(ignored.status.uncountedTerminatedPods->failed.empty());
  EXPECT_EQ(ignored.release.size(), 1u);
  auto ended = plan_job(j, {P("b", "Failed").exited(42, std::chrono::seconds(1))}, kNow);
  EXPECT_EQ(true_condition(ended.status, "FailureTarget")->reason, "PodFailurePolicy");
}

TEST(JobPlan, APodBeingDeletedCountsAsFailedUnlessOnlyFailedOnesAreReplaced) {
  batch::Job j = job(1);
  auto plan = plan_job(j, {P("a", "Running").deleting()}, kNow);
  EXPECT_EQ(plan.status.uncountedTerminatedPods->failed.size(), 1u);
  EXPECT_EQ(plan.create.size(), 1u);
  j.spec.podReplacementPolicy = "Failed";
  auto patient = plan_job(j, {P("a", "Running").deleting()}, kNow);
  EXPECT_TRUE(patient.create.empty());
  EXPECT_TRUE(patient.status.uncountedTerminatedPods->failed.empty());
  EXPECT_EQ(patient.status.terminating, 1);
}

TEST(JobPlan, AFinishedJobOnlyLetsItsPodsGo) {
  batch::Job j = job(1);
  auto& c = j.status.conditions.emplace_back();
  c.type = "Complete";
  c.status = "True";
  auto plan = plan_job(j, {P("a", "Succeeded")}, kNow);
  EXPECT_EQ(plan.release.size(), 1u);
  EXPECT_TRUE(plan.create.empty());
}

}  // namespace
}  // namespace redoubt::controllers
