#include <algorithm>
#include <set>

#include "base/log.h"
#include "controllers/controllers.h"
#include "controllers/pods.h"

namespace redoubt::controllers {

namespace {

constexpr std::chrono::seconds kEvery{20};
constexpr size_t kTerminatedThreshold = 12'500;  // --terminated-pod-gc-threshold
constexpr std::chrono::seconds kQuarantine{40};  // a node may be about to register again
constexpr const char* kOutOfService = "node.kubernetes.io/out-of-service";

using PodPtr = std::shared_ptr<const core::Pod>;

// Pods that nobody else ends: bound to nodes that are gone, being deleted before they were bound, or ended so long ago
// that they only take room.
class PodGc : public Controller {
 public:
  PodGc(client::Client& api, Informers& informers) : api_(api), informers_(informers) {
    informers.nodes.on_change([this](const auto&, const auto& after) {
      if (after) missing_.erase(after->metadata.name);
    });
  }

  Task<void> run() override {
    co_await informers_.nodes.wait_synced();
    co_await informers_.pods.wait_synced();
    while (true) {
      co_await sleep_for(kEvery);
      co_await collect();
    }
  }

 private:
  Task<void> collect() {
    std::vector<PodPtr> ended, unbound, out_of_service;
    std::map<std::string, std::vector<PodPtr>> orphans;
    for (const auto& [key, pod] : informers_.pods.objects()) {
      bool finished = pod->status.phase == "Succeeded" || pod->status.phase == "Failed";
      if (finished && !is_deleting(pod->metadata)) ended.push_back(pod);
      if (pod->spec.nodeName.empty()) {
        if (is_deleting(pod->metadata)) unbound.push_back(pod);
        continue;
      }
      auto node = informers_.nodes.get("", pod->spec.nodeName);
      if (!node) {
        orphans[pod->spec.nodeName].push_back(pod);
      } else if (is_deleting(pod->metadata) && is_out_of_service(*node)) {
        out_of_service.push_back(pod);
      }
    }
    if (ended.size() > kTerminatedThreshold) {
      std::stable_sort(ended.begin(), ended.end(), [](const PodPtr& a, const PodPtr& b) {
        return a->metadata.creationTimestamp < b->metadata.creationTimestamp;
      });
      ended.resize(ended.size() - kTerminatedThreshold);
      for (const PodPtr& pod : ended) co_await end(pod, "", "");
    }
    for (const PodPtr& pod : unbound) co_await end(pod, "", "");
    for (const PodPtr& pod : out_of_service) co_await end(pod, "DeletionByPodGC", "PodGC: node is out of service");
    for (auto& [node, pods] : orphans) {
      auto [since, fresh] = missing_.try_emplace(node, std::chrono::steady_clock::now());
      if (fresh || std::chrono::steady_clock::now() - since->second < kQuarantine) continue;
      // The informer may be behind: the server is asked.
      auto live = co_await api_.get<core::Node>("", node);
      if (live || !live.error().is("NotFound")) continue;
      log_info("pods of a node that is gone are deleted", {{"node", node}, {"pods", std::to_string(pods.size())}});
      for (const PodPtr& pod : pods) co_await end(pod, "DeletionByPodGC", "PodGC: node no longer exists");
    }
    std::erase_if(missing_, [&](const auto& entry) { return !orphans.contains(entry.first); });
  }

  static bool is_out_of_service(const core::Node& node) {
    bool tainted = std::any_of(node.spec.taints.begin(), node.spec.taints.end(),
                               [](const core::Taint& t) { return t.key == kOutOfService; });
    bool ready = std::any_of(node.status.conditions.begin(), node.status.conditions.end(),
                             [](const auto& c) { return c.type == "Ready" && c.status == "True"; });
    return tainted && !ready;
  }

  // At once, without grace: nobody is there to end it. With a reason, the pod says why it failed.
  Task<void> end(PodPtr pod, std::string reason, std::string message) {
    auto outcome = co_await mark(pod, std::move(reason), std::move(message));
    if (outcome) {
      outcome = co_await api_.remove<core::Pod>(pod->metadata.namespace_, pod->metadata.name,
                                                {.grace_period_seconds = 0, .uid = pod->metadata.uid});
    }
    if (!outcome && !outcome.error().is("NotFound") && !outcome.error().is("Conflict")) {
      log_warning(
          "a pod could not be collected",
          {{"namespace", pod->metadata.namespace_}, {"pod", pod->metadata.name}, {"error", outcome.error().message()}});
    }
  }
  Task<Result<void>> mark(PodPtr pod, std::string reason, std::string message) {
    if (reason.empty()) co_return Result<void>{};
    co_return co_await mark_disrupted(api_, *pod, std::move(reason), std::move(message), true);
  }

  client::Client& api_;
  Informers& informers_;
  std::map<std::string, std::chrono::steady_clock::time_point> missing_;  // nodes that pods name and that are not there
};

}  // namespace

std::unique_ptr<Controller> make_pod_gc(client::Client& api, Informers& informers) {
  return std::make_unique<PodGc>(api, informers);
}

}  // namespace redoubt::controllers
