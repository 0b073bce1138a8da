#include <algorithm>

#include "base/log.h"
#include "controllers/controllers.h"
#include "controllers/deployment/rolling.h"
#include "schema/typed.h"

namespace redoubt::controllers {

namespace {

constexpr const char* kHashLabel = "pod-template-hash";
constexpr const char* kRevision = "deployment.kubernetes.io/revision";
constexpr const char* kDesired = "deployment.kubernetes.io/desired-replicas";
constexpr const char* kMax = "deployment.kubernetes.io/max-replicas";

using SetPtr = std::shared_ptr<const apps::ReplicaSet>;

// A short hash of a template, in the alphabet of names. FNV-1a over its canonical JSON.
std::string template_hash(const core::PodTemplateSpec& tmpl, int32_t collisions) {
  uint64_t hash = 14695981039346656037ULL;
  std::string text = schema::to_json(tmpl) + std::to_string(collisions);
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  for (int i = 0; i < 10; ++i, hash /= kAlphabet.size()) out += kAlphabet[hash % kAlphabet.size()];
  return out;
}

bool same_template(core::PodTemplateSpec a, core::PodTemplateSpec b) {
  a.metadata.labels.erase(kHashLabel);
  b.metadata.labels.erase(kHashLabel);
  return schema::equal(a, b);
}

int64_t revision_of(const meta::ObjectMeta& metadata) {
  auto it = metadata.annotations.find(kRevision);
  return it == metadata.annotations.end() ? 0 : std::atoll(it->second.c_str());
}

void set_condition(apps::DeploymentStatus& status, std::string type, bool yes, std::string reason,
                   std::string message) {
  apps::DeploymentCondition* found = nullptr;
  for (auto& c : status.conditions) {
    if (c.type == type) found = &c;
  }
  std::string value = yes ? "True" : "False";
  if (found != nullptr && found->status == value && found->reason == reason && found->message == message) return;
  if (found == nullptr) {
    found = &status.conditions.emplace_back();
    found->type = type;
  }
  if (found->status != value) found->lastTransitionTime = schema::Time::now();
  found->status = value;
  found->reason = std::move(reason);
  found->message = std::move(message);
  found->lastUpdateTime = schema::Time::now();
}

class DeploymentController : public Controller {
 public:
  DeploymentController(client::Client& api, Informers& informers)
      : api_(api),
        informers_(informers),
        queue_(api.executor(), "deployment", [this](std::string key) { return reconcile(std::move(key)); }) {
    informers.deployments.on_change([this](const auto&, const auto& after) {
      if (after) queue_.add(after->metadata.namespace_ + "/" + after->metadata.name);
    });
    informers.replica_sets.on_change([this](const auto& before, const auto& after) {
      const auto& rs = after ? after : before;
      const auto* owner = controller_of(rs->metadata);
      if (owner != nullptr && owner->kind == "Deployment") queue_.add(rs->metadata.namespace_ + "/" + owner->name);
    });
  }
  Task<void> run() override { co_await queue_.run(); }

 private:
  Task<Result<client::WorkQueue::Outcome>> reconcile(std::string key) {
    client::WorkQueue::Outcome done;
    co_await informers_.replica_sets.wait_synced();
    auto d = informers_.deployments.get(key);
    if (!d || is_deleting(d->metadata)) co_return done;
    SetPtr fresh;
    std::vector<SetPtr> old;
    for (auto it = informers_.replica_sets.objects().lower_bound(d->metadata.namespace_ + "/");
         it != informers_.replica_sets.objects().end() && it->second->metadata.namespace_ == d->metadata.namespace_;
         ++it) {
      const auto* owner = controller_of(it->second->metadata);
      if (owner == nullptr || owner->uid != d->metadata.uid) continue;
      if (!fresh && same_template(it->second->spec.template_, d->spec.template_)) {
        fresh = it->second;
      } else {
        old.push_back(it->second);
      }
    }
    std::sort(old.begin(), old.end(),
              [](const SetPtr& a, const SetPtr& b) { return revision_of(a->metadata) < revision_of(b->metadata); });
    int64_t newest = 0;
    for (const SetPtr& set : old) newest = std::max(newest, revision_of(set->metadata));
    int32_t wanted = d->spec.replicas.value_or(1);
    bool recreate = d->spec.strategy.type == "Recreate";
    schema::IntOrString surge = schema::IntOrString::of("25%"), unavailable = schema::IntOrString::of("25%");
    if (d->spec.strategy.rollingUpdate) {
      surge = d->spec.strategy.rollingUpdate->maxSurge.value_or(surge);
      unavailable = d->spec.strategy.rollingUpdate->maxUnavailable.value_or(unavailable);
    }
    Bounds bounds = recreate ? Bounds{0, wanted} : resolve_bounds(surge, unavailable, wanted);
    auto size_of = [](const SetPtr& set) {
      return SetSize{set->spec.replicas.value_or(1), set->status.availableReplicas};
    };
    std::vector<SetSize> old_sizes;
    int32_t old_pods = 0;
    for (const SetPtr& set : old) {
      old_sizes.push_back(size_of(set));
      old_pods += std::max(set->status.replicas, set->spec.replicas.value_or(1));
    }
    if (!fresh && !d->spec.paused) {
      int32_t first = recreate ? (old_pods == 0 ? wanted : 0) : next_new_size(wanted, {}, old_sizes, bounds);
      co_return co_await create_set(*d, first, newest + 1, wanted + bounds.max_surge);
    }
    if (fresh) {
      // A roll-back takes an old set up again: it becomes the newest revision.
      int64_t revision =
          std::max(revision_of(fresh->metadata), newest + (newest >= revision_of(fresh->metadata) ? 1 : 0));
      int32_t size = recreate ? (old_pods == 0 ? wanted : fresh->spec.replicas.value_or(1))
                              : next_new_size(wanted, size_of(fresh), old_sizes, bounds);
      if (d->spec.paused) size = old.empty() ? wanted : fresh->spec.replicas.value_or(1);
      RD_CO_TRYV(co_await resize(fresh, size, wanted + bounds.max_surge, wanted, revision));
      if (revision_of(d->metadata) != revision) {
        apps::Deployment annotated = *d;
        annotated.metadata.annotations[kRevision] = std::to_string(revision);
        RD_CO_TRYV(co_await api_.update(std::move(annotated)));
        co_return done;  // the change comes back through the informer
      }
    }
    if (!d->spec.paused) {
      std::vector<int32_t> next = recreate
                                      ? std::vector<int32_t>(old.size(), 0)
                                      : next_old_sizes(wanted, fresh ? size_of(fresh) : SetSize{}, old_sizes, bounds);
      for (size_t i = 0; i < old.size(); ++i)
        RD_CO_TRYV(co_await resize(old[i], next[i], wanted + bounds.max_surge, wanted, 0));
      RD_CO_TRYV(co_await clean_up(*d, old));
    }
    co_return co_await write_status(d, fresh, old, wanted, bounds);
  }

  Task<Result<client::WorkQueue::Outcome>> create_set(apps::Deployment d, int32_t size, int64_t revision,
                                                      int32_t most) {
    apps::ReplicaSet rs;
    std::string hash = template_hash(d.spec.template_, d.status.collisionCount.value_or(0));
    rs.metadata.name = d.metadata.name + "-" + hash;
    rs.metadata.namespace_ = d.metadata.namespace_;
    rs.metadata.labels = d.spec.template_.metadata.labels;
    rs.metadata.labels[kHashLabel] = hash;
    rs.metadata.annotations[kRevision] = std::to_string(revision);
    rs.metadata.annotations[kDesired] = std::to_string(d.spec.replicas.value_or(1));
    rs.metadata.annotations[kMax] = std::to_string(most);
    auto& owner = rs.metadata.ownerReferences.emplace_back();
    owner.apiVersion = "apps/v1";
    owner.kind = "Deployment";
    owner.name = d.metadata.name;
    owner.uid = d.metadata.uid;
    owner.controller = true;
    owner.blockOwnerDeletion = true;
    rs.spec.replicas = size;
    rs.spec.minReadySeconds = d.spec.minReadySeconds;
    rs.spec.selector = d.spec.selector;
    rs.spec.selector->matchLabels[kHashLabel] = hash;
    rs.spec.template_ = d.spec.template_;
    rs.spec.template_.metadata.labels[kHashLabel] = hash;
    auto made = co_await api_.create(std::move(rs));
    if (!made && !made.error().is("AlreadyExists")) co_return Error(made.error());
    if (!made) {
      // Somebody else's set has that name: hash once more, with another count.
      auto there = informers_.replica_sets.get(d.metadata.namespace_, d.metadata.name + "-" + hash);
      const auto* controller = there ? controller_of(there->metadata) : nullptr;
      if (there && (controller == nullptr || controller->uid != d.metadata.uid)) {
        d.status.collisionCount = d.status.collisionCount.value_or(0) + 1;
        RD_CO_TRYV(co_await api_.update_status(std::move(d)));
      }
    }
    co_return client::WorkQueue::Outcome{.again_after = std::chrono::milliseconds(50)};
  }

  Task<Result<void>> resize(SetPtr set, int32_t size, int32_t most, int32_t wanted, int64_t revision) {
    std::string revision_text = revision > 0 ? std::to_string(revision) : "";
    bool annotated = revision == 0 || revision_of(set->metadata) == revision;
    if (set->spec.replicas.value_or(1) == size && annotated) co_return Result<void>{};
    apps::ReplicaSet changed = *set;
    changed.spec.replicas = size;
    changed.metadata.annotations[kDesired] = std::to_string(wanted);
    changed.metadata.annotations[kMax] = std::to_string(most);
    if (revision > 0) changed.metadata.annotations[kRevision] = revision_text;
    auto written = co_await api_.update(std::move(changed));
    if (!written) co_return Error(written.error());
    co_return Result<void>{};
  }

  Task<Result<void>> clean_up(apps::Deployment d, std::vector<SetPtr> old) {
    int32_t keep = d.spec.revisionHistoryLimit.value_or(10);
    std::erase_if(old, [](const SetPtr& set) {
      return set->spec.replicas.value_or(1) != 0 || set->status.replicas != 0 || is_deleting(set->metadata);
    });
    for (int32_t i = 0; i + keep < static_cast<int32_t>(old.size()); ++i) {
      auto gone = co_await api_.remove<apps::ReplicaSet>(old[static_cast<size_t>(i)]->metadata.namespace_,
                                                         old[static_cast<size_t>(i)]->metadata.name);
      if (!gone && !gone.error().is("NotFound")) co_return Error(gone.error());
    }
    co_return Result<void>{};
  }

  Task<Result<client::WorkQueue::Outcome>> write_status(std::shared_ptr<const apps::Deployment> d, SetPtr fresh,
                                                        std::vector<SetPtr> old, int32_t wanted, Bounds bounds) {
    apps::DeploymentStatus status = d->status;
    status.observedGeneration = d->metadata.generation;
    status.replicas = status.readyReplicas = status.availableReplicas = status.updatedReplicas = 0;
    if (fresh) {
      status.updatedReplicas = fresh->status.replicas;
      old.push_back(fresh);
    }
    for (const SetPtr& set : old) {
      status.replicas += set->status.replicas;
      status.readyReplicas += set->status.readyReplicas;
      status.availableReplicas += set->status.availableReplicas;
    }
    status.unavailableReplicas = std::max(0, std::max(status.replicas, wanted) - status.availableReplicas);
    bool available = status.availableReplicas >= wanted - bounds.max_unavailable;
    set_condition(
        status, "Available", available, available ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
        available ? "Deployment has minimum availability." : "Deployment does not have minimum availability.");
    client::WorkQueue::Outcome outcome;
    if (fresh && !d->spec.paused) {
      bool complete =
          status.updatedReplicas == wanted && status.replicas == wanted && status.availableReplicas == wanted;
      std::string name = fresh->metadata.name;
      bool moved = status.updatedReplicas > d->status.updatedReplicas ||
                   status.availableReplicas > d->status.availableReplicas || status.replicas < d->status.replicas ||
                   status.observedGeneration != d->status.observedGeneration;
      const apps::DeploymentCondition* progress = nullptr;
      for (const auto& c : status.conditions) {
        if (c.type == "Progressing") progress = &c;
      }
      auto limit = std::chrono::seconds(d->spec.progressDeadlineSeconds.value_or(600));
      if (complete) {
        set_condition(status, "Progressing", true, "NewReplicaSetAvailable",
                      fmt::format("ReplicaSet \"{}\" has successfully progressed.", name));
      } else if (progress == nullptr || moved || progress->reason == "NewReplicaSetAvailable") {
        set_condition(status, "Progressing", true, "ReplicaSetUpdated",
                      fmt::format("ReplicaSet \"{}\" is progressing.", name));
        outcome.again_after = limit;
      } else if (now() - progress->lastUpdateTime.at > limit) {
        set_condition(status, "Progressing", false, "ProgressDeadlineExceeded",
                      fmt::format("ReplicaSet \"{}\" has timed out progressing.", name));
      } else {
        outcome.again_after =
            std::chrono::duration_cast<std::chrono::milliseconds>(progress->lastUpdateTime.at + limit - now()) +
            std::chrono::seconds(1);
      }
    }
    if (schema::equal(status, d->status)) co_return outcome;
    apps::Deployment changed = *d;
    changed.status = std::move(status);
    auto written = co_await api_.update_status(std::move(changed));
    if (!written && !written.error().is("NotFound")) co_return Error(written.error());
    co_return outcome;
  }

  client::Client& api_;
  Informers& informers_;
  client::WorkQueue queue_;
};

}  // namespace

std::unique_ptr<Controller> make_deployment(client::Client& api, Informers& informers) {
  return std::make_unique<DeploymentController>(api, informers);
}

}  // namespace redoubt::controllers
