#include <algorithm>

#include "base/log.h"
#include "client/event_recorder.h"
#include "controllers/pods.h"
#include "controllers/revisions/revisions.h"
#include "controllers/stateful_set/plan.h"
#include "controllers/workloads.h"
#include "schema/typed.h"

namespace redoubt::controllers {

namespace {

using PodPtr = std::shared_ptr<const core::Pod>;

class StatefulSetController : public Controller {
 public:
  StatefulSetController(client::Client& api, Informers& informers, WorkloadInformers& workloads)
      : api_(api),
        informers_(informers),
        workloads_(workloads),
        events_(api, "statefulset-controller"),
        expected_(informers, "StatefulSet"),
        queue_(api.executor(), "statefulset", [this](std::string key) { return reconcile(std::move(key)); }) {
    workloads.stateful_sets.on_change([this](const auto& before, const auto& after) {
      const auto& set = after ? after : before;
      queue_.add(set->metadata.namespace_ + "/" + set->metadata.name);
    });
    workloads.revisions.on_change([this](const auto& before, const auto& after) {
      const auto& revision = after ? after : before;
      const auto* owner = controller_of(revision->metadata);
      if (owner != nullptr && owner->kind == "StatefulSet")
        queue_.add(revision->metadata.namespace_ + "/" + owner->name);
    });
    follow_pods_of(informers, "StatefulSet", [this](const std::string& key) { queue_.add(key); });
  }
  Task<void> run() override {
    co_await informers_.pods.wait_synced();
    co_await workloads_.stateful_sets.wait_synced();
    co_await workloads_.revisions.wait_synced();
    co_await queue_.run();
  }

 private:
  Task<Result<client::WorkQueue::Outcome>> reconcile(std::string key) {
    client::WorkQueue::Outcome done;
    auto known = workloads_.stateful_sets.get(key);
    if (!known) {
      expected_.forget(key);
      co_return done;
    }
    apps::StatefulSet set = *known;
    if (is_deleting(set.metadata)) co_return done;
    auto revisions = revisions_of(workloads_.revisions, set.metadata.namespace_, set.metadata.uid);
    int32_t collisions = set.status.collisionCount.value_or(0);
    auto labels = set.spec.selector ? set.spec.selector->matchLabels : std::map<std::string, std::string>();
    RD_CO_TRY(RevisionPtr update, co_await sync_revision(api_, revisions, set.spec.template_, set.metadata,
                                                         owned_by(set), std::move(labels), collisions));
    RevisionPtr current = update;
    for (const RevisionPtr& revision : revisions) {
      if (revision->metadata.name == set.status.currentRevision) current = revision;
    }
    if (!expected_.met(key)) co_return client::WorkQueue::Outcome{.again_after = std::chrono::seconds(1)};
    std::vector<PodPtr> pods = pods_controlled_by(informers_, set.metadata.namespace_, set.metadata.uid);
    StatefulPlan plan = plan_stateful_set(set, pods, current->metadata.name, update->metadata.name);
    done.again_after = plan.again_after;
    for (const auto& wanted : plan.create) {
      const apps::ControllerRevision& revision = wanted.updated ? *update : *current;
      RD_CO_TRYV(co_await create_pod(key, set, revision, wanted.ordinal));
    }
    for (const PodPtr& pod : plan.remove) {
      expected_.deleting(key, *pod);
      auto gone =
          co_await api_.remove<core::Pod>(pod->metadata.namespace_, pod->metadata.name, {.uid = pod->metadata.uid});
      if (!gone) {
        expected_.kept(key, *pod);
        if (!gone.error().is("NotFound") && !gone.error().is("Conflict")) co_return Error(gone.error());
        continue;
      }
      co_await events_.record(
          client::EventRecorder::about(set), "Normal", "SuccessfulDelete",
          fmt::format("delete Pod {} in StatefulSet {} successful", pod->metadata.name, set.metadata.name));
    }
    RD_CO_TRYV(co_await keep_claims(set, pods));
    if (collisions != set.status.collisionCount.value_or(0)) plan.status.collisionCount = collisions;
    if (!schema::equal(plan.status, set.status)) {
      apps::StatefulSet changed = set;
      changed.status = plan.status;
      auto written = co_await api_.update_status(std::move(changed));
      if (!written && !written.error().is("NotFound")) co_return Error(written.error());
    }
    std::vector<std::string> live{current->metadata.name, update->metadata.name};
    for (const PodPtr& pod : pods) {
      auto label = pod->metadata.labels.find("controller-revision-hash");
      if (label != pod->metadata.labels.end()) live.push_back(label->second);
    }
    for (const RevisionPtr& old : surplus(revisions, live, set.spec.revisionHistoryLimit.value_or(10))) {
      auto gone = co_await api_.remove<apps::ControllerRevision>(old->metadata.namespace_, old->metadata.name,
                                                                 {.uid = old->metadata.uid});
      if (!gone && !gone.error().is("NotFound") && !gone.error().is("Conflict")) co_return Error(gone.error());
    }
    co_return done;
  }

  Task<Result<void>> create_pod(std::string key, const apps::StatefulSet& set, const apps::ControllerRevision& revision,
                                int32_t ordinal) {
    // Its claims first: they outlive the pod, and are found again by name.
    for (core::PersistentVolumeClaim& claim : claims_of(set, ordinal)) {
      std::string name = claim.metadata.name;
      auto there = co_await api_.get<core::PersistentVolumeClaim>(claim.metadata.namespace_, name);
      if (there) continue;
      if (!there.error().is("NotFound")) co_return Error(there.error());
      auto made = co_await api_.create(std::move(claim));
      if (!made && !made.error().is("AlreadyExists")) {
        co_await events_.record(client::EventRecorder::about(set), "Warning", "FailedCreate",
                                fmt::format("create Claim {} Pod {}-{} in StatefulSet {} failed error: {}", name,
                                            set.metadata.name, ordinal, set.metadata.name, made.error().message()));
        co_return Error(made.error());
      }
      if (made) {
        co_await events_.record(client::EventRecorder::about(set), "Normal", "SuccessfulCreate",
                                fmt::format("create Claim {} Pod {}-{} in StatefulSet {} success", name,
                                            set.metadata.name, ordinal, set.metadata.name));
      }
    }
    auto held = template_of(revision);
    auto made =
        co_await api_.create(stateful_pod(set, held ? *held : set.spec.template_, revision.metadata.name, ordinal));
    if (!made) {
      co_await events_.record(client::EventRecorder::about(set), "Warning", "FailedCreate",
                              fmt::format("create Pod {}-{} in StatefulSet {} failed error: {}", set.metadata.name,
                                          ordinal, set.metadata.name, made.error().message()));
      co_return Error(made.error());
    }
    expected_.made(key, *made);
    co_await events_.record(
        client::EventRecorder::about(set), "Normal", "SuccessfulCreate",
        fmt::format("create Pod {} in StatefulSet {} successful", made->metadata.name, set.metadata.name));
    co_return Result<void>{};
  }

  // persistentVolumeClaimRetentionPolicy: claims that are to go with the set or with their pod are owned by it, so that
  // the garbage collector does the rest.
  Task<Result<void>> keep_claims(const apps::StatefulSet& set, std::vector<PodPtr> pods) {
    const auto& policy = set.spec.persistentVolumeClaimRetentionPolicy;
    if (set.spec.volumeClaimTemplates.empty() || !policy) co_return Result<void>{};
    bool with_set = policy->whenDeleted == "Delete", when_scaled = policy->whenScaled == "Delete";
    int32_t first = set.spec.ordinals ? set.spec.ordinals->start : 0, count = set.spec.replicas.value_or(1);
    for (const PodPtr& pod : pods) {
      int32_t ordinal = ordinal_of(set.metadata.name, pod->metadata.name);
      if (ordinal < 0) continue;
      bool condemned = ordinal < first || ordinal >= first + count;
      std::string wanted = condemned && when_scaled ? pod->metadata.uid : with_set ? set.metadata.uid : "";
      std::string memory = fmt::format("{}/{}", set.metadata.uid, ordinal);
      // Asked for once; again only when the answer changes.
      auto remembered = claim_owner_.find(memory);
      if (remembered == claim_owner_.end() ? wanted.empty() : remembered->second == wanted) continue;
      for (const core::PersistentVolumeClaim& claim : claims_of(set, ordinal))
        RD_CO_TRYV(co_await own_claim(claim.metadata, set, *pod, wanted));
      claim_owner_[memory] = wanted;
    }
    co_return Result<void>{};
  }

  Task<Result<void>> own_claim(meta::ObjectMeta which, const apps::StatefulSet& set, const core::Pod& pod,
                               std::string wanted) {
    auto claim = co_await api_.get<core::PersistentVolumeClaim>(which.namespace_, which.name);
    if (!claim && claim.error().is("NotFound")) co_return Result<void>{};
    if (!claim) co_return Error(claim.error());
    auto& owners = claim->metadata.ownerReferences;
    auto before = owners.size();
    bool has = std::any_of(owners.begin(), owners.end(), [&](const auto& o) { return o.uid == wanted; });
    std::erase_if(owners, [&](const auto& o) {
      return o.uid != wanted && (o.uid == set.metadata.uid || (o.kind == "Pod" && o.name == pod.metadata.name));
    });
    if (has && owners.size() == before) co_return Result<void>{};
    if (!has && !wanted.empty()) {
      meta::OwnerReference owner = wanted == set.metadata.uid ? owned_by(set) : owned_by(pod);
      if (wanted == pod.metadata.uid) owner.controller = owner.blockOwnerDeletion = std::nullopt;
      owners.push_back(std::move(owner));
    }
    if (owners.size() == before && has) co_return Result<void>{};
    auto written = co_await api_.update(std::move(*claim));
    if (!written && !written.error().is("NotFound")) co_return Error(written.error());
    co_return Result<void>{};
  }

  client::Client& api_;
  Informers& informers_;
  WorkloadInformers& workloads_;
  client::EventRecorder events_;
  Expectations expected_;
  client::WorkQueue queue_;
  std::map<std::string, std::string> claim_owner_;  // "UID/ORDINAL" to the uid of who owns the claims; "" for nobody
};

}  // namespace

std::unique_ptr<Controller> make_stateful_set(client::Client& api, Informers& informers, WorkloadInformers& workloads) {
  return std::make_unique<StatefulSetController>(api, informers, workloads);
}

}  // namespace redoubt::controllers
