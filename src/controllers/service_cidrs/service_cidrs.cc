// Marks ServiceCIDRs ready, and holds one that is being deleted until no Service has an address that only it covers.
#include <algorithm>

#include "controllers/controllers.h"
#include "controllers/run_all.h"
#include "controllers/service_cidrs/orphans.h"

namespace redoubt::controllers {

namespace {

namespace networking = k8s::networking::v1;
using client::WorkQueue;
using std::chrono::milliseconds;

constexpr const char* kFinalizer = "networking.k8s.io/service-cidr-finalizer";
constexpr const char* kOurAddresses = "ipaddress.kubernetes.io/managed-by=ipallocator.k8s.io";
// The API server gives nothing of a network from the moment that its deletion is stored; what was under way then has
// its IPAddress long before this is over.
constexpr std::chrono::seconds kGrace{2};
// Between two looks at the addresses of one that waits.
constexpr milliseconds kLookAgain{2'000};

class ServiceCidrController : public Controller {
 public:
  explicit ServiceCidrController(client::Client& api)
      : api_(api),
        cidrs_(api),
        queue_(api.executor(), "service-cidrs", [this](std::string key) { return reconcile(std::move(key)); }, 1) {
    // One that comes or goes may set free or bind others that wait; there are a handful.
    cidrs_.on_change([this](const auto&, const auto&) {
      for (const auto& [name, cidr] : cidrs_.objects()) queue_.add(name);
    });
  }

  Task<void> run() override { return run_all(api_.executor(), "service-cidrs", cidrs_.run(), queue_.run()); }

 private:
  Task<Result<WorkQueue::Outcome>> reconcile(std::string name) {
    co_await cidrs_.wait_synced();
    auto cidr = cidrs_.get("", name);
    if (!cidr) co_return WorkQueue::Outcome{};
    Result<WorkQueue::Outcome> done;
    if (is_deleting(cidr->metadata)) {
      done = co_await let_go(*cidr);
    } else {
      done = co_await make_ready(*cidr);
    }
    // Somebody was faster: their change comes by the watch.
    if (!done && (done.error().is("Conflict") || done.error().is("NotFound"))) co_return WorkQueue::Outcome{};
    co_return done;
  }

  static bool is_held(const networking::ServiceCIDR& cidr) {
    return std::ranges::find(cidr.metadata.finalizers, kFinalizer) != cidr.metadata.finalizers.end();
  }

  Task<Result<WorkQueue::Outcome>> make_ready(networking::ServiceCIDR cidr) {
    if (!is_held(cidr)) {
      cidr.metadata.finalizers.emplace_back(kFinalizer);
      RD_CO_TRY(cidr, co_await api_.update(std::move(cidr)));
    }
    meta::Condition ready;
    ready.type = "Ready";
    ready.status = "True";
    ready.message = "Kubernetes Service CIDR is ready";
    RD_CO_TRYV(co_await set_condition(std::move(cidr), std::move(ready)));
    co_return WorkQueue::Outcome{};
  }

  Task<Result<WorkQueue::Outcome>> let_go(networking::ServiceCIDR cidr) {
    if (!is_held(cidr)) co_return WorkQueue::Outcome{};
    auto since = std::chrono::duration_cast<milliseconds>(now() - cidr.metadata.deletionTimestamp->at);
    if (since >= milliseconds(0) && since < kGrace) co_return WorkQueue::Outcome{kGrace - since};
    RD_CO_TRY(bool needed, co_await is_needed(cidr));
    if (!needed) {
      std::erase(cidr.metadata.finalizers, kFinalizer);
      RD_CO_TRYV(co_await api_.update(std::move(cidr)));
      co_return WorkQueue::Outcome{};
    }
    meta::Condition waits;
    waits.type = "Ready";
    waits.status = "False";
    waits.reason = "Terminating";
    waits.message =
        "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR";
    RD_CO_TRYV(co_await set_condition(std::move(cidr), std::move(waits)));
    co_return WorkQueue::Outcome{kLookAgain};
  }

  Task<Result<bool>> is_needed(networking::ServiceCIDR cidr) {
    ServiceCidrs all;
    for (const auto& [name, other] : cidrs_.objects()) all.push_back(other);
    if (is_covered(cidr, all)) co_return false;
    // Listed when needed: nobody else needs the thousands there may be in memory.
    RD_CO_TRY(auto addresses, co_await api_.list<networking::IPAddress>(
                                  "", client::ListOptions{.label_selector = kOurAddresses, .limit = 500}));
    co_return std::ranges::any_of(
        addresses.items, [&](const auto& address) { return would_be_orphan(address.metadata.name, cidr, all); });
  }

  Task<Result<void>> set_condition(networking::ServiceCIDR cidr, meta::Condition wanted) {
    auto& conditions = cidr.status.conditions;
    auto there = std::ranges::find(conditions, wanted.type, &meta::Condition::type);
    if (there != conditions.end() && there->status == wanted.status && there->reason == wanted.reason)
      co_return Result<void>{};
    wanted.lastTransitionTime = schema::Time::now();
    if (there == conditions.end()) {
      conditions.push_back(std::move(wanted));
    } else {
      if (there->status == wanted.status) wanted.lastTransitionTime = there->lastTransitionTime;
      *there = std::move(wanted);
    }
    RD_CO_TRYV(co_await api_.update_status(std::move(cidr)));
    co_return Result<void>{};
  }

  client::Client& api_;
  client::Informer<networking::ServiceCIDR> cidrs_;
  WorkQueue queue_;
};

}  // namespace

std::unique_ptr<Controller> make_service_cidrs(client::Client& api) {
  return std::make_unique<ServiceCidrController>(api);
}

}  // namespace redoubt::controllers
