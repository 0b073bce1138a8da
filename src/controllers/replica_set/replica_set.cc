#include <algorithm>

#include "base/log.h"
#include "controllers/controllers.h"

namespace redoubt::controllers {

namespace {

constexpr int kBurst = 500;

class ReplicaSetController : public Controller {
 public:
  ReplicaSetController(client::Client& api, Informers& informers)
      : api_(api),
        informers_(informers),
        queue_(api.executor(), "replicaset", [this](std::string key) { return reconcile(std::move(key)); }) {
    informers.replica_sets.on_change([this](const auto&, const auto& after) {
      if (after) queue_.add(key_of(*after));
    });
    informers.pods.on_change([this](const auto& before, const auto& after) {
      const auto& pod = after ? after : before;
      const auto* owner = controller_of(pod->metadata);
      if (owner == nullptr || owner->kind != "ReplicaSet") return;
      std::string key = pod->metadata.namespace_ + "/" + owner->name;
      // What was expected has been seen.
      if (!before) expected_[key].erase("+" + pod->metadata.name);
      if (!after || is_deleting(pod->metadata)) expected_[key].erase("-" + pod->metadata.name);
      queue_.add(key);
    });
  }
  Task<void> run() override { co_await queue_.run(); }

 private:
  static std::string key_of(const apps::ReplicaSet& rs) { return rs.metadata.namespace_ + "/" + rs.metadata.name; }

  Task<Result<client::WorkQueue::Outcome>> reconcile(std::string key) {
    co_await informers_.pods.wait_synced();
    auto rs = informers_.replica_sets.get(key);
    if (!rs) {
      expected_.erase(key);
      co_return client::WorkQueue::Outcome{};
    }
    std::vector<std::shared_ptr<const core::Pod>> pods;
    for (auto it = informers_.pods.objects().lower_bound(rs->metadata.namespace_ + "/");
         it != informers_.pods.objects().end() && it->second->metadata.namespace_ == rs->metadata.namespace_; ++it) {
      const auto* owner = controller_of(it->second->metadata);
      if (owner != nullptr && owner->uid == rs->metadata.uid && is_active(*it->second)) pods.push_back(it->second);
    }
    int32_t wanted = rs->spec.replicas.value_or(1);
    int32_t difference = wanted - static_cast<int32_t>(pods.size());
    // Until the informer shows what was done last, the count is not to be trusted.
    if (expected_[key].empty() && difference != 0 && !is_deleting(rs->metadata)) {
      if (difference > 0) {
        RD_CO_TRYV(co_await create_pods(*rs, std::min(difference, kBurst)));
      } else {
        RD_CO_TRYV(co_await delete_pods(*rs, pods, std::min(-difference, kBurst)));
      }
    }
    co_return co_await write_status(*rs, pods);
  }

  // One, then twice as many, and so on: a set whose pods are refused makes few requests.
  Task<Result<void>> create_pods(apps::ReplicaSet rs, int count) {
    std::string key = key_of(rs);
    core::Pod pod;
    pod.metadata.generateName = rs.metadata.name + "-";
    pod.metadata.namespace_ = rs.metadata.namespace_;
    if (rs.spec.template_.metadata.labels.size() > 0) pod.metadata.labels = rs.spec.template_.metadata.labels;
    pod.metadata.annotations = rs.spec.template_.metadata.annotations;
    pod.spec = rs.spec.template_.spec;
    auto& owner = pod.metadata.ownerReferences.emplace_back();
    owner.apiVersion = "apps/v1";
    owner.kind = "ReplicaSet";
    owner.name = rs.metadata.name;
    owner.uid = rs.metadata.uid;
    owner.controller = true;
    owner.blockOwnerDeletion = true;
    for (int i = 0; i < count; ++i) {
      auto made = co_await api_.create(pod);
      if (!made) co_return Error(made.error());
      // The informer may have been faster.
      if (!informers_.pods.get(made->metadata.namespace_, made->metadata.name))
        expected_[key].insert("+" + made->metadata.name);
    }
    co_return Result<void>{};
  }

  // First those that are of least use: not scheduled, then not running, then not ready, then the youngest.
  Task<Result<void>> delete_pods(apps::ReplicaSet rs, std::vector<std::shared_ptr<const core::Pod>> pods, int count) {
    std::string key = key_of(rs);
    auto rank = [](const core::Pod& pod) {
      return std::make_tuple(!pod.spec.nodeName.empty(), pod.status.phase == "Running", is_ready(pod));
    };
    std::stable_sort(pods.begin(), pods.end(), [&](const auto& a, const auto& b) {
      if (rank(*a) != rank(*b)) return rank(*a) < rank(*b);
      return a->metadata.creationTimestamp > b->metadata.creationTimestamp;
    });
    for (int i = 0; i < count && i < static_cast<int>(pods.size()); ++i) {
      const auto& pod = pods[static_cast<size_t>(i)];
      expected_[key].insert("-" + pod->metadata.name);
      auto gone =
          co_await api_.remove<core::Pod>(pod->metadata.namespace_, pod->metadata.name, {.uid = pod->metadata.uid});
      if (!gone) {
        expected_[key].erase("-" + pod->metadata.name);
        if (!gone.error().is("NotFound") && !gone.error().is("Conflict")) co_return Error(gone.error());
      }
    }
    co_return Result<void>{};
  }

  Task<Result<client::WorkQueue::Outcome>> write_status(apps::ReplicaSet rs,
                                                        std::vector<std::shared_ptr<const core::Pod>> pods) {
    apps::ReplicaSetStatus status = rs.status;
    status.replicas = static_cast<int32_t>(pods.size());
    status.readyReplicas = status.availableReplicas = status.fullyLabeledReplicas = 0;
    client::WorkQueue::Outcome outcome;
    for (const auto& pod : pods) {
      bool labelled = std::all_of(rs.spec.template_.metadata.labels.begin(), rs.spec.template_.metadata.labels.end(),
                                  [&](const auto& l) {
                                    auto it = pod->metadata.labels.find(l.first);
                                    return it != pod->metadata.labels.end() && it->second == l.second;
                                  });
      if (labelled) ++status.fullyLabeledReplicas;
      if (!is_ready(*pod)) continue;
      ++status.readyReplicas;
      if (rs.spec.minReadySeconds == 0) {
        ++status.availableReplicas;
        continue;
      }
      for (const auto& condition : pod->status.conditions) {
        if (condition.type != "Ready") continue;
        auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            condition.lastTransitionTime.at + std::chrono::seconds(rs.spec.minReadySeconds) - now());
        if (left.count() <= 0) {
          ++status.availableReplicas;
        } else if (!outcome.again_after || left < *outcome.again_after) {
          outcome.again_after = left;
        }
      }
    }
    status.observedGeneration = rs.metadata.generation;
    if (schema::equal(status, rs.status)) co_return outcome;
    rs.status = std::move(status);
    auto written = co_await api_.update_status(std::move(rs));
    if (!written && !written.error().is("NotFound")) co_return Error(written.error());
    co_return outcome;
  }

  client::Client& api_;
  Informers& informers_;
  client::WorkQueue queue_;
  std::map<std::string, std::set<std::string>>
      expected_;  // "+NAME" made, "-NAME" deleted, not yet seen by the informer
};

}  // namespace

std::unique_ptr<Controller> make_replica_set(client::Client& api, Informers& informers) {
  return std::make_unique<ReplicaSetController>(api, informers);
}

}  // namespace redoubt::controllers
