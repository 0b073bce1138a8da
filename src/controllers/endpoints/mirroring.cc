#include "controllers/controllers.h"
#include "controllers/endpoints/slice_writer.h"

namespace redoubt::controllers {

namespace {

constexpr size_t kMaxPerSubset = 1000;  // --mirroring-max-endpoints-per-subset
constexpr std::chrono::milliseconds kBatch{50};
constexpr const char* kSkipMirror = "endpointslice.kubernetes.io/skip-mirror";
constexpr const char* kLeader = "control-plane.alpha.kubernetes.io/leader";
constexpr const char* kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
constexpr const char* kTriggerTime = "endpoints.kubernetes.io/last-change-trigger-time";

// Slices of Endpoints that somebody wrote by hand, for Services without a selector: what reads slices then sees all.
class MirroringController : public Controller {
 public:
  MirroringController(client::Client& api, Informers& informers)
      : informers_(informers),
        writer_(api, informers),
        queue_(api.executor(), "endpointslicemirroring",
               [this](std::string key) { return reconcile(std::move(key)); }) {
    auto add = [this](const auto& before, const auto& after) {
      const auto& object = after ? after : before;
      queue_.add_after(object->metadata.namespace_ + "/" + object->metadata.name, kBatch);
    };
    informers.endpoints.on_change(add);
    informers.services.on_change(add);
    informers.endpoint_slices.on_change([this](const auto& before, const auto& after) {
      const auto& slice = after ? after : before;
      if (!ours(*slice) && !(before && ours(*before))) return;
      auto it = slice->metadata.labels.find(kServiceNameLabel);
      if (it != slice->metadata.labels.end()) queue_.add_after(slice->metadata.namespace_ + "/" + it->second, kBatch);
    });
  }
  Task<void> run() override {
    co_await informers_.services.wait_synced();
    co_await informers_.endpoints.wait_synced();
    co_await informers_.endpoint_slices.wait_synced();
    co_await queue_.run();
  }

 private:
  static bool ours(const discovery::EndpointSlice& slice) {
    auto it = slice.metadata.labels.find(kSliceManagedBy);
    return it != slice.metadata.labels.end() && it->second == kMirrorController;
  }
  static bool to_be_mirrored(const core::Endpoints& endpoints) {
    auto skip = endpoints.metadata.labels.find(kSkipMirror);
    return !is_deleting(endpoints.metadata) && !(skip != endpoints.metadata.labels.end() && skip->second == "true") &&
           !endpoints.metadata.annotations.contains(kLeader);
  }

  Task<Result<client::WorkQueue::Outcome>> reconcile(std::string key) {
    auto endpoints = informers_.endpoints.get(key);
    auto service = informers_.services.get(key);
    bool wanted = endpoints && service && to_be_mirrored(*endpoints) && service->spec.selector.empty();
    if (!writer_.seen(key)) co_return client::WorkQueue::Outcome{.again_after = std::chrono::milliseconds(500)};
    auto [ns, name] = split_key(key);
    std::vector<SlicePtr> existing;
    const auto& slices = informers_.endpoint_slices.objects();
    for (auto it = slices.lower_bound(ns + "/"); it != slices.end() && it->second->metadata.namespace_ == ns; ++it) {
      auto label = it->second->metadata.labels.find(kServiceNameLabel);
      if (label != it->second->metadata.labels.end() && label->second == name && ours(*it->second) &&
          !is_deleting(it->second->metadata))
        existing.push_back(it->second);
    }
    SlicePlan plan;
    if (wanted) {
      plan = plan_slices(mirror_endpoints(*endpoints, kMaxPerSubset), existing, pattern(*endpoints), true);
    } else {
      plan.remove = existing;
      if (existing.empty()) writer_.forget(key);
    }
    if (!plan.empty()) RD_CO_TRYV(co_await writer_.write(key, std::move(plan)));
    co_return client::WorkQueue::Outcome{};
  }

  static discovery::EndpointSlice pattern(const core::Endpoints& endpoints) {
    discovery::EndpointSlice out;
    out.metadata.namespace_ = endpoints.metadata.namespace_;
    out.metadata.generateName = endpoints.metadata.name + "-";
    out.metadata.labels = endpoints.metadata.labels;
    out.metadata.labels[kServiceNameLabel] = endpoints.metadata.name;
    out.metadata.labels[kSliceManagedBy] = kMirrorController;
    out.metadata.annotations = endpoints.metadata.annotations;
    out.metadata.annotations.erase(kLastApplied);
    out.metadata.annotations.erase(kTriggerTime);
    out.metadata.ownerReferences.push_back(owned_by(endpoints));
    return out;
  }

  Informers& informers_;
  SliceWriter writer_;
  client::WorkQueue queue_;
};

}  // namespace

std::unique_ptr<Controller> make_endpoint_slice_mirroring(client::Client& api, Informers& informers) {
  return std::make_unique<MirroringController>(api, informers);
}

}  // namespace redoubt::controllers
