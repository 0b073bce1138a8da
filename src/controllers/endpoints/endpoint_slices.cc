#include "controllers/controllers.h"
#include "controllers/endpoints/service_pods.h"
#include "controllers/endpoints/slice_writer.h"

namespace redoubt::controllers {

namespace {

class EndpointSliceController : public Controller {
 public:
  EndpointSliceController(client::Client& api, Informers& informers)
      : informers_(informers),
        writer_(api, informers),
        queue_(api.executor(), "endpointslice", [this](std::string key) { return reconcile(std::move(key)); }) {
    follow_services(informers, [this](const std::string& key) { queue_.add_after(key, kEndpointBatch); });
    informers.endpoint_slices.on_change([this](const auto& before, const auto& after) {
      const auto& slice = after ? after : before;
      if (!ours(*slice) && !(before && ours(*before))) return;
      auto it = slice->metadata.labels.find(kServiceNameLabel);
      if (it != slice->metadata.labels.end())
        queue_.add_after(slice->metadata.namespace_ + "/" + it->second, kEndpointBatch);
    });
  }
  Task<void> run() override {
    co_await informers_.services.wait_synced();
    co_await informers_.pods.wait_synced();
    co_await informers_.nodes.wait_synced();
    co_await informers_.endpoint_slices.wait_synced();
    co_await queue_.run();
  }

 private:
  static bool ours(const discovery::EndpointSlice& slice) {
    auto it = slice.metadata.labels.find(kSliceManagedBy);
    return it != slice.metadata.labels.end() && it->second == kSliceController;
  }

  Task<Result<client::WorkQueue::Outcome>> reconcile(std::string key) {
    client::WorkQueue::Outcome done;
    auto service = informers_.services.get(key);
    if (!service) {
      writer_.forget(key);  // the slices go with their owner
      co_return done;
    }
    if (service->spec.type == "ExternalName" || service->spec.selector.empty() || is_deleting(service->metadata))
      co_return done;
    if (!writer_.seen(key)) co_return client::WorkQueue::Outcome{.again_after = std::chrono::milliseconds(500)};
    std::vector<SlicePtr> existing;
    const auto& slices = informers_.endpoint_slices.objects();
    const std::string& ns = service->metadata.namespace_;
    for (auto it = slices.lower_bound(ns + "/"); it != slices.end() && it->second->metadata.namespace_ == ns; ++it) {
      auto label = it->second->metadata.labels.find(kServiceNameLabel);
      if (label != it->second->metadata.labels.end() && label->second == service->metadata.name && ours(*it->second) &&
          !is_deleting(it->second->metadata))
        existing.push_back(it->second);
    }
    auto zone_of = [this](const std::string& name) -> std::string {
      auto node = informers_.nodes.get("", name);
      if (!node) return "";
      auto label = node->metadata.labels.find("topology.kubernetes.io/zone");
      return label == node->metadata.labels.end() ? "" : label->second;
    };
    SlicePlan plan =
        plan_slices(group_endpoints(*service, pods_of(informers_, *service), zone_of), existing, pattern(*service));
    if (!plan.empty()) RD_CO_TRYV(co_await writer_.write(key, std::move(plan)));
    co_return done;
  }

  static discovery::EndpointSlice pattern(const core::Service& service) {
    discovery::EndpointSlice out;
    out.metadata.namespace_ = service.metadata.namespace_;
    out.metadata.generateName = service.metadata.name + "-";
    for (const auto& [label, value] : service.metadata.labels) {
      if (label != kServiceNameLabel && label != kSliceManagedBy && label != kHeadlessLabel)
        out.metadata.labels[label] = value;
    }
    out.metadata.labels[kServiceNameLabel] = service.metadata.name;
    out.metadata.labels[kSliceManagedBy] = kSliceController;
    if (is_headless(service)) out.metadata.labels[kHeadlessLabel] = "";
    out.metadata.ownerReferences.push_back(owned_by(service));
    return out;
  }

  Informers& informers_;
  SliceWriter writer_;
  client::WorkQueue queue_;
};

}  // namespace

std::unique_ptr<Controller> make_endpoint_slices(client::Client& api, Informers& informers) {
  return std::make_unique<EndpointSliceController>(api, informers);
}

}  // namespace redoubt::controllers
