#include "controllers/controllers.h"
#include "controllers/endpoints/service_pods.h"
#include "schema/typed.h"

namespace redoubt::controllers {

namespace {

constexpr size_t kCapacity = 1000;  // addresses in one Endpoints object, as upstream
constexpr const char* kOverCapacity = "endpoints.kubernetes.io/over-capacity";
constexpr const char* kManagedBy = "endpoints.kubernetes.io/managed-by";
constexpr const char* kUs = "endpoint-controller";

// The older form of EndpointSlices: one object a Service, for clients that still read it.
class EndpointsController : public Controller {
 public:
  EndpointsController(client::Client& api, Informers& informers)
      : api_(api),
        informers_(informers),
        queue_(api.executor(), "endpoint", [this](std::string key) { return reconcile(std::move(key)); }) {
    follow_services(informers, [this](const std::string& key) { queue_.add_after(key, kEndpointBatch); });
    informers.endpoints.on_change([this](const auto& before, const auto& after) {
      const auto& endpoints = after ? after : before;
      std::string key = endpoints->metadata.namespace_ + "/" + endpoints->metadata.name;
      // What has no Service is let alone while we run: somebody may make the Endpoints first.
      if (informers_.services.get(key)) queue_.add_after(std::move(key), kEndpointBatch);
    });
  }
  Task<void> run() override {
    co_await informers_.services.wait_synced();
    co_await informers_.pods.wait_synced();
    co_await informers_.endpoints.wait_synced();
    // Those whose Service went while nobody watched.
    for (const auto& [key, endpoints] : informers_.endpoints.objects()) {
      if (!informers_.services.get(key)) queue_.add(key);
    }
    co_await queue_.run();
  }

 private:
  Task<Result<client::WorkQueue::Outcome>> reconcile(std::string key) {
    client::WorkQueue::Outcome done;
    auto service = informers_.services.get(key);
    auto present = informers_.endpoints.get(key);
    if (!service) {
      // Somebody's own Endpoints without a Service stay: leader elections of old kept their lock there.
      if (!present || present->metadata.annotations.contains("control-plane.alpha.kubernetes.io/leader") ||
          present->metadata.labels.contains("endpointslice.kubernetes.io/skip-mirror"))
        co_return done;
      auto gone = co_await api_.remove<core::Endpoints>(present->metadata.namespace_, present->metadata.name,
                                                        {.uid = present->metadata.uid});
      if (!gone && !gone.error().is("NotFound") && !gone.error().is("Conflict")) co_return Error(gone.error());
      co_return done;
    }
    if (service->spec.type == "ExternalName" || service->spec.selector.empty() || is_deleting(service->metadata))
      co_return done;
    core::Endpoints wanted;
    if (present) wanted = *present;
    wanted.metadata.namespace_ = service->metadata.namespace_;
    wanted.metadata.name = service->metadata.name;
    bool truncated = false;
    wanted.subsets = endpoint_subsets(*service, pods_of(informers_, *service), kCapacity, truncated);
    wanted.metadata.labels = service->metadata.labels;
    wanted.metadata.labels.erase(kHeadlessLabel);
    wanted.metadata.labels[kManagedBy] = kUs;
    if (is_headless(*service)) wanted.metadata.labels[kHeadlessLabel] = "";
    wanted.metadata.annotations.erase(kOverCapacity);
    if (truncated) wanted.metadata.annotations[kOverCapacity] = "truncated";
    if (present && schema::equal(wanted, *present)) co_return done;
    if (present) {
      RD_CO_TRYV(co_await api_.update(std::move(wanted)));
    } else {
      auto made = co_await api_.create(std::move(wanted));
      // Lost a race, or the namespace is going: the next event decides.
      if (!made && !made.error().is("AlreadyExists") && made.error().code() != 403) co_return Error(made.error());
    }
    co_return done;
  }

  client::Client& api_;
  Informers& informers_;
  client::WorkQueue queue_;
};

}  // namespace

std::unique_ptr<Controller> make_endpoints(client::Client& api, Informers& informers) {
  return std::make_unique<EndpointsController>(api, informers);
}

}  // namespace redoubt::controllers
