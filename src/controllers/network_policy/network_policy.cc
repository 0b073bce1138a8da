// Resolves NetworkPolicies for the nodes: a ConfigMap each in a namespace that nodes may read, so that they enforce
// them without reading each other's pods.
#include "controllers/network_policy/network_policy.h"

#include "controllers/network_policy/resolve.h"
#include "controllers/run_all.h"

namespace redoubt::controllers {

namespace {

namespace networking = k8s::networking::v1;
using client::WorkQueue;

// Pods come in crowds: one look at all policies for the crowd.
constexpr std::chrono::milliseconds kGather{100};
constexpr const char* kAll = "all";

class NetworkPolicyController : public Controller {
 public:
  NetworkPolicyController(client::Client& api, Informers& informers)
      : api_(api),
        informers_(informers),
        policies_(informers.reader),
        maps_(informers.reader, std::string(networkpolicy::kNamespace),
              client::ListOptions{.label_selector = std::string(networkpolicy::kLabel)}),
        queue_(api.executor(), "networkpolicy", [this](std::string key) { return reconcile(std::move(key)); }, 1) {
    policies_.on_change([this](const auto&, const auto&) { queue_.add(kAll); });
    maps_.on_change([this](const auto&, const auto& after) {
      if (!after) queue_.add(kAll);
    });
    informers.pods.on_change([this](const auto& before, const auto& after) {
      if (policies_.objects().empty()) return;
      auto was = before ? policy_pod(*before) : std::nullopt, is = after ? policy_pod(*after) : std::nullopt;
      if (was.has_value() == is.has_value() && (!is || (was->addresses == is->addresses && was->labels == is->labels)))
        return;
      queue_.add_after(kAll, kGather);
    });
    informers.namespaces.on_change([this](const auto& before, const auto& after) {
      if (before && after && before->metadata.labels == after->metadata.labels) return;
      if (!policies_.objects().empty()) queue_.add_after(kAll, kGather);
    });
    informers.services.on_change([this](const auto& before, const auto& after) {
      const auto& metadata = (after ? after : before)->metadata;
      if (metadata.namespace_ == "kube-system" && metadata.name == "kube-dns") queue_.add(kAll);
    });
  }

  Task<void> run() override {
    return run_all(api_.executor(), "networkpolicy", policies_.run(), maps_.run(), queue_.run());
  }

 private:
  Task<Result<WorkQueue::Outcome>> reconcile(std::string) {
    co_await policies_.wait_synced();
    co_await maps_.wait_synced();
    co_await informers_.pods.wait_synced();
    co_await informers_.namespaces.wait_synced();
    co_await informers_.services.wait_synced();
    if (policies_.objects().empty() && maps_.objects().empty()) co_return WorkQueue::Outcome{};
    std::vector<PolicyPod> pods;
    for (const auto& [key, pod] : informers_.pods.objects()) {
      if (auto made = policy_pod(*pod)) pods.push_back(std::move(*made));
    }
    if (auto service = informers_.services.get("kube-system", "kube-dns")) {
      if (auto made = dns_pod(*service)) pods.push_back(std::move(*made));
    }
    std::map<std::string, std::map<std::string, std::string>> namespaces;
    for (const auto& [name, ns] : informers_.namespaces.objects()) namespaces[name] = ns->metadata.labels;
    std::map<std::string, std::string> wanted;
    for (const auto& [key, policy] : policies_.objects())
      wanted[std::string(networkpolicy::kNamePrefix) + policy->metadata.uid] =
          networkpolicy::to_json(resolve_policy(*policy, pods, namespaces));
    RD_CO_TRYV(co_await write(std::move(wanted)));
    co_return WorkQueue::Outcome{};
  }

  // What nodes should see, with as few writes as that takes. The first failure is returned after all were tried.
  Task<Result<void>> write(std::map<std::string, std::string> wanted) {
    Result<void> outcome;
    auto note = [&outcome](const auto& done) {
      if (!done && outcome) outcome = Error(done.error());
    };
    std::map<std::string, std::shared_ptr<const core::ConfigMap>> there;
    for (const auto& [key, map] : maps_.objects()) there[map->metadata.name] = map;
    for (const auto& [name, json] : wanted) {
      core::ConfigMap map;
      map.metadata.name = name;
      map.metadata.labels[std::string(networkpolicy::kLabel)] = "";
      map.metadata.namespace_ = std::string(networkpolicy::kNamespace);
      map.data[std::string(networkpolicy::kDataKey)] = json;
      auto old = there.find(name);
      if (old == there.end()) {
        auto made = co_await api_.create(map);
        // Ours, and the informer does not show it yet: again with the next look.
        if (!made && made.error().is("AlreadyExists")) {
          note(co_await api_.update(map));
        } else {
          note(made);
        }
      } else if (old->second->data != map.data) {
        note(co_await api_.update(map));
      }
    }
    for (const auto& [name, map] : there) {
      if (wanted.contains(name)) continue;
      auto gone = co_await api_.remove<core::ConfigMap>(map->metadata.namespace_, name);
      if (!gone && !gone.error().is("NotFound")) note(gone);
    }
    co_return outcome;
  }

  client::Client& api_;
  Informers& informers_;
  client::Informer<networking::NetworkPolicy> policies_;
  client::Informer<core::ConfigMap> maps_;
  WorkQueue queue_;
};

}  // namespace

std::unique_ptr<Controller> make_network_policy(client::Client& api, Informers& informers) {
  return std::make_unique<NetworkPolicyController>(api, informers);
}

}  // namespace redoubt::controllers
