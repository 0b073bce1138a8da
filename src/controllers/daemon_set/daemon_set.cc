#include <algorithm>

#include "base/log.h"
#include "client/event_recorder.h"
#include "controllers/daemon_set/plan.h"
#include "controllers/pods.h"
#include "controllers/revisions/revisions.h"
#include "controllers/workloads.h"
#include "schema/typed.h"

namespace redoubt::controllers {

namespace {

using PodPtr = std::shared_ptr<const core::Pod>;

constexpr size_t kBurst = 250;                                                  // pods made or deleted in one go
constexpr std::chrono::seconds kFirstFailedDelay{1}, kLongestFailedDelay{900};  // before a failed pod is replaced again

class DaemonSetController : public Controller {
 public:
  DaemonSetController(client::Client& api, Informers& informers, WorkloadInformers& workloads)
      : api_(api),
        informers_(informers),
        workloads_(workloads),
        events_(api, "daemonset-controller"),
        expected_(informers, "DaemonSet"),
        queue_(api.executor(), "daemonset", [this](std::string key) { return reconcile(std::move(key)); }) {
    workloads.daemon_sets.on_change([this](const auto& before, const auto& after) {
      const auto& ds = after ? after : before;
      queue_.add(ds->metadata.namespace_ + "/" + ds->metadata.name);
    });
    workloads.revisions.on_change([this](const auto& before, const auto& after) {
      const auto& revision = after ? after : before;
      const auto* owner = controller_of(revision->metadata);
      if (owner != nullptr && owner->kind == "DaemonSet") queue_.add(revision->metadata.namespace_ + "/" + owner->name);
    });
    follow_pods_of(informers, "DaemonSet", [this](const std::string& key) { queue_.add(key); });
    informers.nodes.on_change([this](const auto& before, const auto& after) {
      // Heartbeats change nothing of where pods belong.
      if (before && after && before->metadata.labels == after->metadata.labels &&
          before->spec.unschedulable == after->spec.unschedulable && same_taints(before->spec, after->spec))
        return;
      for (const auto& [key, ds] : workloads_.daemon_sets.objects()) queue_.add(key);
    });
  }
  Task<void> run() override {
    co_await informers_.nodes.wait_synced();
    co_await informers_.pods.wait_synced();
    co_await workloads_.daemon_sets.wait_synced();
    co_await workloads_.revisions.wait_synced();
    co_await queue_.run();
  }

 private:
  static bool same_taints(const core::NodeSpec& a, const core::NodeSpec& b) {
    return std::equal(a.taints.begin(), a.taints.end(), b.taints.begin(), b.taints.end(),
                      [](const core::Taint& x, const core::Taint& y) {
                        return x.key == y.key && x.value == y.value && x.effect == y.effect;
                      });
  }

  Task<Result<client::WorkQueue::Outcome>> reconcile(std::string key) {
    client::WorkQueue::Outcome done;
    auto known = workloads_.daemon_sets.get(key);
    if (!known) {
      expected_.forget(key);
      co_return done;
    }
    apps::DaemonSet ds = *known;
    if (is_deleting(ds.metadata)) co_return done;
    if (ds.spec.selector && ds.spec.selector->matchLabels.empty() && ds.spec.selector->matchExpressions.empty()) {
      co_await events_.record(client::EventRecorder::about(ds), "Warning", "SelectingAll",
                              "This daemon set is selecting all pods. A non-empty selector is required.");
      co_return done;
    }
    auto revisions = revisions_of(workloads_.revisions, ds.metadata.namespace_, ds.metadata.uid);
    int32_t collisions = ds.status.collisionCount.value_or(0);
    RD_CO_TRY(RevisionPtr current, co_await sync_revision(api_, revisions, ds.spec.template_, ds.metadata, owned_by(ds),
                                                          ds.spec.template_.metadata.labels, collisions));
    auto label = current->metadata.labels.find(kRevisionHash);
    std::string hash = label == current->metadata.labels.end() ? "" : label->second;
    if (!expected_.met(key)) co_return client::WorkQueue::Outcome{.again_after = std::chrono::seconds(1)};
    std::vector<std::shared_ptr<const core::Node>> nodes;
    for (const auto& [name, node] : informers_.nodes.objects()) nodes.push_back(node);
    std::vector<PodPtr> pods = pods_controlled_by(informers_, ds.metadata.namespace_, ds.metadata.uid);
    DaemonPlan plan = plan_daemon_set(ds, nodes, pods, hash);
    done.again_after = plan.again_after;
    RD_CO_TRYV(co_await remove_pods(key, ds, plan, done));
    RD_CO_TRYV(co_await create_pods(key, ds, hash, plan));
    if (collisions != ds.status.collisionCount.value_or(0)) plan.status.collisionCount = collisions;
    if (!schema::equal(plan.status, ds.status)) {
      apps::DaemonSet changed = ds;
      changed.status = plan.status;
      auto written = co_await api_.update_status(std::move(changed));
      if (!written && !written.error().is("NotFound")) co_return Error(written.error());
    }
    RD_CO_TRYV(co_await clean_history(ds, std::move(revisions), current->metadata.name, std::move(pods)));
    co_return done;
  }

  Task<Result<void>> remove_pods(std::string key, const apps::DaemonSet& ds, const DaemonPlan& plan,
                                 client::WorkQueue::Outcome& outcome) {
    size_t count = 0;
    for (const PodPtr& pod : plan.remove) {
      if (std::find(plan.failed.begin(), plan.failed.end(), pod) != plan.failed.end()) {
        // A pod that fails at once, again and again, is replaced more and more slowly.
        auto wait = failed_delay(ds.metadata.uid + "/" + target_node(*pod));
        if (wait.count() > 0) {
          if (!outcome.again_after || wait < *outcome.again_after) outcome.again_after = wait;
          continue;
        }
        co_await events_.record(client::EventRecorder::about(ds), "Warning", "FailedDaemonPod",
                                fmt::format("Found failed daemon pod {}/{} on node {}, will try to kill it",
                                            pod->metadata.namespace_, pod->metadata.name, pod->spec.nodeName));
      }
      if (++count > kBurst) break;
      expected_.deleting(key, *pod);
      auto gone =
          co_await api_.remove<core::Pod>(pod->metadata.namespace_, pod->metadata.name, {.uid = pod->metadata.uid});
      if (!gone) {
        expected_.kept(key, *pod);
        if (!gone.error().is("NotFound") && !gone.error().is("Conflict")) co_return Error(gone.error());
        continue;
      }
      co_await events_.record(client::EventRecorder::about(ds), "Normal", "SuccessfulDelete",
                              fmt::format("Deleted pod: {}", pod->metadata.name));
    }
    co_return Result<void>{};
  }

  std::chrono::milliseconds failed_delay(const std::string& key) {
    auto present = std::chrono::steady_clock::now();
    auto [it, fresh] = backoff_.try_emplace(key, Backoff{present, kFirstFailedDelay});
    if (!fresh && present < it->second.next)
      return std::chrono::duration_cast<std::chrono::milliseconds>(it->second.next - present) +
             std::chrono::milliseconds(1);
    // A long time without a failure wipes the slate.
    if (!fresh && present - it->second.next > 2 * kLongestFailedDelay) it->second.delay = kFirstFailedDelay;
    it->second.next = present + it->second.delay;
    it->second.delay = std::min(it->second.delay * 2, kLongestFailedDelay);
    return std::chrono::milliseconds(0);
  }

  Task<Result<void>> create_pods(std::string key, const apps::DaemonSet& ds, std::string hash, const DaemonPlan& plan) {
    size_t count = 0;
    for (const std::string& node : plan.create) {
      if (++count > kBurst) break;
      core::Pod pod = pod_of(ds.spec.template_, ds.metadata.namespace_, owned_by(ds));
      pod.metadata.labels[kRevisionHash] = hash;
      pod.metadata.labels[kTemplateGeneration] = std::to_string(ds.metadata.generation);
      add_daemon_tolerations(pod.spec);
      bind_to_node(pod.spec, node);
      auto made = co_await api_.create(std::move(pod));
      if (!made) {
        co_await events_.record(client::EventRecorder::about(ds), "Warning", "FailedCreate",
                                fmt::format("Error creating: {}", made.error().message()));
        co_return Error(made.error());
      }
      expected_.made(key, *made);
      co_await events_.record(client::EventRecorder::about(ds), "Normal", "SuccessfulCreate",
                              fmt::format("Created pod: {}", made->metadata.name));
    }
    co_return Result<void>{};
  }

  Task<Result<void>> clean_history(const apps::DaemonSet& ds, std::vector<RevisionPtr> revisions, std::string current,
                                   std::vector<PodPtr> pods) {
    std::vector<std::string> live{current};
    for (const RevisionPtr& revision : revisions) {
      auto label = revision->metadata.labels.find(kRevisionHash);
      if (label == revision->metadata.labels.end()) continue;
      bool used = std::any_of(pods.begin(), pods.end(), [&](const PodPtr& pod) {
        auto it = pod->metadata.labels.find(kRevisionHash);
        return it != pod->metadata.labels.end() && it->second == label->second;
      });
      if (used) live.push_back(revision->metadata.name);
    }
    for (const RevisionPtr& old : surplus(revisions, live, ds.spec.revisionHistoryLimit.value_or(10))) {
      auto gone = co_await api_.remove<apps::ControllerRevision>(old->metadata.namespace_, old->metadata.name,
                                                                 {.uid = old->metadata.uid});
      if (!gone && !gone.error().is("NotFound") && !gone.error().is("Conflict")) co_return Error(gone.error());
    }
    co_return Result<void>{};
  }

  struct Backoff {
    std::chrono::steady_clock::time_point next;
    std::chrono::seconds delay;
  };
  client::Client& api_;
  Informers& informers_;
  WorkloadInformers& workloads_;
  client::EventRecorder events_;
  Expectations expected_;
  client::WorkQueue queue_;
  std::map<std::string, Backoff> backoff_;  // "UID/NODE"
};

}  // namespace

std::unique_ptr<Controller> make_daemon_set(client::Client& api, Informers& informers, WorkloadInformers& workloads) {
  return std::make_unique<DaemonSetController>(api, informers, workloads);
}

}  // namespace redoubt::controllers
