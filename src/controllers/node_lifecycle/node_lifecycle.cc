#include <algorithm>
#include <deque>
#include <set>

#include "base/log.h"
#include "client/event_recorder.h"
#include "controllers/controllers.h"
#include "controllers/node_lifecycle/health.h"
#include "controllers/pods.h"
#include "schema/typed.h"

namespace redoubt::controllers {

namespace {

using Clock = std::chrono::steady_clock;

class NodeLifecycleController : public Controller {
 public:
  NodeLifecycleController(client::Client& api, Informers& informers, NodeLifecycleOptions options)
      : api_(api),
        informers_(informers),
        options_(options),
        events_(api, "node-controller"),
        taints_(api.executor(), "node taints", [this](std::string key) { return reconcile_taints(std::move(key)); }),
        pods_(api.executor(), "taint eviction", [this](std::string key) { return reconcile_pod(std::move(key)); }),
        scope_(api.executor(), "node lifecycle") {
    informers.nodes.on_change([this](const auto& before, const auto& after) {
      if (!after) {
        nodes_.erase(before->metadata.name);
        last_ready_.erase(before->metadata.name);
        return;
      }
      taints_.add(after->metadata.name);
      if (!before || !same_taints(before->spec.taints, after->spec.taints)) look_at_pods_of(after->metadata.name);
    });
    informers.pods.on_change([this](const auto& before, const auto& after) {
      const auto& pod = after ? after : before;
      std::string key = pod->metadata.namespace_ + "/" + pod->metadata.name;
      if (!after || after->spec.nodeName.empty()) {
        tainted_since_.erase(key);
        return;
      }
      if (before && before->spec.nodeName == after->spec.nodeName &&
          before->spec.tolerations.size() == after->spec.tolerations.size())
        return;
      auto node = informers_.nodes.get("", after->spec.nodeName);
      if (node && has_no_execute(*node)) pods_.add(std::move(key));
    });
  }

  Task<void> run() override {
    co_await informers_.nodes.wait_synced();
    co_await informers_.pods.wait_synced();
    co_await informers_.leases.wait_synced();
    scope_.spawn(taints_.run());
    scope_.spawn(pods_.run());
    std::exception_ptr cancelled;
    try {
      while (true) {
        co_await monitor();
        co_await sleep_for(options_.monitor_period);
      }
    } catch (...) {
      cancelled = std::current_exception();
    }
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    co_await scope_.join();
    std::rethrow_exception(cancelled);
  }

 private:
  // What was last heard of a node, by our own clock.
  struct Health {
    Clock::time_point heard;
    Timestamp heartbeat{};  // Ready's lastHeartbeatTime
    Timestamp renewed{};    // its Lease's
    bool pods_to_mark = false;
  };
  struct Zone {
    ZoneState state = ZoneState::Normal;
    Clock::time_point next{};     // when the next node may be tainted
    std::deque<std::string> due;  // nodes that wait for their NoExecute taint
  };

  static bool has_no_execute(const core::Node& node) {
    return std::any_of(node.spec.taints.begin(), node.spec.taints.end(),
                       [](const core::Taint& t) { return t.effect == "NoExecute"; });
  }
  static bool same_taints(const std::vector<core::Taint>& a, const std::vector<core::Taint>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const core::Taint& x, const core::Taint& y) {
      return x.key == y.key && x.value == y.value && x.effect == y.effect;
    });
  }
  void look_at_pods_of(const std::string& node) {
    for (const auto& [key, pod] : informers_.pods.objects()) {
      if (pod->spec.nodeName == node) pods_.add(key);
    }
  }

  // ---- health ----

  Task<void> monitor() {
    std::map<std::string, std::pair<size_t, size_t>> counts;  // zone to ready and not ready
    std::vector<std::string> names;
    for (const auto& [name, node] : informers_.nodes.objects()) names.push_back(name);
    for (const std::string& name : names) {
      auto node = informers_.nodes.get("", name);
      if (!node) continue;
      bool known = nodes_.contains(name);
      Health& health = listen(*node);
      std::string observed = ready_status(*node);
      core::Node seen = *node;
      const auto* ready = condition_of(*node, "Ready");
      auto grace = ready == nullptr ? options_.startup_grace : options_.monitor_grace;
      if (known && Clock::now() - health.heard > grace && mark_silent(seen, schema::Time::now())) {
        auto written = co_await api_.update_status(seen);
        if (!written) {
          log_debug("a silent node's status could not be written",
                    {{"node", name}, {"error", written.error().message()}});
        } else {
          log_info("node went silent", {{"node", name}});
        }
      }
      std::string current = ready_status(seen);
      if (condition_of(seen, "Ready") != nullptr) {
        co_await after_change(name, observed, current);
        auto& [up, down] = counts[zone_of(seen)];
        ++(current == "True" ? up : down);
      }
    }
    co_await judge_zones(counts);
    co_await evict();
  }

  Health& listen(const core::Node& node) {
    auto [it, fresh] = nodes_.try_emplace(node.metadata.name);
    Health& health = it->second;
    const auto* ready = condition_of(node, "Ready");
    Timestamp heartbeat = ready == nullptr ? Timestamp{} : ready->lastHeartbeatTime.at;
    auto lease = informers_.leases.get("kube-node-lease", node.metadata.name);
    Timestamp renewed = lease && lease->spec.renewTime ? lease->spec.renewTime->at : Timestamp{};
    // Only that something moved counts, not what time a node thinks it is. Our own mark is no sign of life.
    bool spoke = heartbeat > health.heartbeat || renewed > health.renewed;
    if (fresh || spoke) health.heard = Clock::now();
    health.heartbeat = heartbeat;
    health.renewed = renewed;
    return health;
  }

  // A node that just stopped being ready: its pods are not ready either, whatever they last said.
  Task<void> after_change(std::string name, std::string observed, std::string current) {
    auto node = informers_.nodes.get("", name);
    if (!node) co_return;
    // Read now: the node may be gone after a wait.
    auto known = nodes_.find(name);
    bool pending = known != nodes_.end() && known->second.pods_to_mark;
    bool turned = observed == "True" && current != "True";
    auto last = last_ready_.find(name);
    turned = turned || (last != last_ready_.end() && last->second == "True" && current != "True");
    last_ready_[name] = current;
    if (turned) {
      co_await events_.record(client::EventRecorder::about(*node), "Normal", "NodeNotReady",
                              fmt::format("Node {} status is now: NodeNotReady", name));
    }
    bool all = true;
    if (current != "True") {
      if (!turned && !pending) co_return;
      all = co_await mark_pods_not_ready(name);
    }
    if (auto health = nodes_.find(name); health != nodes_.end()) health->second.pods_to_mark = !all;
  }

  Task<bool> mark_pods_not_ready(std::string node) {
    std::vector<std::shared_ptr<const core::Pod>> pods;
    for (const auto& [key, pod] : informers_.pods.objects()) {
      if (pod->spec.nodeName == node && is_ready(*pod)) pods.push_back(pod);
    }
    bool all = true;
    for (const auto& pod : pods) {
      auto written = co_await api_.patch<core::Pod>(
          pod->metadata.namespace_, pod->metadata.name, client::PatchType::StrategicMerge,
          fmt::format(R"({{"metadata":{{"uid":"{}"}},"status":{{"conditions":[{{"type":"Ready","status":"False",)"
                      R"("reason":"NodeNotReady","lastTransitionTime":"{}"}}]}}}})",
                      pod->metadata.uid, format_rfc3339(now())),
          "status");
      if (!written) {
        if (!written.error().is("NotFound") && !written.error().is("Conflict")) all = false;
        continue;
      }
      co_await events_.record(client::EventRecorder::about(*pod), "Warning", "NodeNotReady", "Node is not ready");
    }
    co_return all;
  }

  // ---- zones ----

  Task<void> judge_zones(const std::map<std::string, std::pair<size_t, size_t>>& counts) {
    bool any = false, all_down = true;
    for (const auto& [name, count] : counts) {
      any = true;
      zones_[name].state = zone_state(count.first, count.second, options_.zones);
      all_down = all_down && zones_[name].state == ZoneState::FullDisruption;
    }
    std::erase_if(zones_, [&](const auto& zone) { return !counts.contains(zone.first); });
    all_down = any && all_down;
    if (all_down && !all_down_) {
      // No node answers: more likely it is us who are cut off. Nobody is driven out.
      log_warning("no node is ready in any zone: evictions stop", {});
      for (auto& [name, zone] : zones_) zone.due.clear();
      std::vector<std::string> names;
      for (const auto& [name, node] : informers_.nodes.objects()) names.push_back(name);
      for (const std::string& name : names) co_await set_eviction_taint(name, false);
    }
    if (!all_down && all_down_) {
      log_info("nodes are ready again: evictions may go on", {});
      // Those that are still silent get their full time once more.
      for (auto& [name, health] : nodes_) health.heard = Clock::now();
    }
    all_down_ = all_down;
  }

  Task<void> evict() {
    std::vector<std::string> names, healthy;
    std::map<std::string, size_t> sizes;
    for (const auto& [name, node] : informers_.nodes.objects()) {
      ++sizes[zone_of(*node)];
      auto wanted = eviction_taint(*node);
      bool tainted = std::any_of(node->spec.taints.begin(), node->spec.taints.end(), [&](const core::Taint& t) {
        return t.effect == "NoExecute" && (t.key == kTaintNotReady || t.key == kTaintUnreachable);
      });
      auto& due = zones_[zone_of(*node)].due;
      auto at = std::find(due.begin(), due.end(), name);
      if (!wanted) {
        if (at != due.end()) due.erase(at);
        if (tainted) healthy.push_back(name);
      } else if (tainted) {
        healthy.push_back(name);  // perhaps the other of the two taints: changed at once
      } else if (at == due.end() && !all_down_) {
        due.push_back(name);
      }
    }
    for (const std::string& name : healthy) co_await set_eviction_taint(name, true);
    if (all_down_) co_return;
    for (auto& [key, zone] : zones_) {
      double rate = eviction_rate(zone.state, sizes[key], options_.zones);
      if (rate > 0 && !zone.due.empty() && Clock::now() >= zone.next) names.push_back(key);
    }
    for (const std::string& key : names) {
      auto it = zones_.find(key);
      if (it == zones_.end() || it->second.due.empty()) continue;
      std::string node = it->second.due.front();
      it->second.due.pop_front();
      double rate = eviction_rate(it->second.state, sizes[key], options_.zones);
      it->second.next =
          Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1 / rate));
      co_await set_eviction_taint(node, true);
    }
  }

  // Makes the NoExecute taint what the node's Ready condition says, or (not `by_condition`) takes it off.
  Task<void> set_eviction_taint(std::string name, bool by_condition) {
    auto known = informers_.nodes.get("", name);
    if (!known) co_return;
    core::Node node = *known;
    std::vector<core::Taint> wanted;
    if (auto taint = eviction_taint(node); taint && by_condition) wanted.push_back(*taint);
    if (!replace_taints(node, wanted, "NoExecute", schema::Time::now())) co_return;
    auto written = co_await write_taints(node);
    if (!written) log_debug("taints could not be written", {{"node", name}, {"error", written.error().message()}});
  }

  // ---- taints ----

  Task<Result<client::WorkQueue::Outcome>> reconcile_taints(std::string name) {
    client::WorkQueue::Outcome done;
    auto known = informers_.nodes.get("", name);
    if (!known || is_deleting(known->metadata)) co_return done;
    core::Node node = *known;
    if (!replace_taints(node, schedule_taints(node), "NoSchedule", schema::Time::now())) co_return done;
    RD_CO_TRYV(co_await write_taints(node));
    co_return done;
  }

  // Against the version that was looked at: a Conflict means that there is news.
  Task<Result<void>> write_taints(core::Node node) {
    std::string list;
    for (const core::Taint& taint : node.spec.taints) list += (list.empty() ? "" : ",") + schema::to_json(taint);
    auto written = co_await api_.patch<core::Node>(
        "", node.metadata.name, client::PatchType::Merge,
        fmt::format(R"({{"metadata":{{"resourceVersion":"{}"}},"spec":{{"taints":{}}}}})",
                    node.metadata.resourceVersion, list.empty() ? "null" : "[" + list + "]"));
    if (!written && written.error().is("NotFound")) co_return Result<void>{};
    if (!written) co_return Error(written.error());
    co_return Result<void>{};
  }

  // ---- eviction ----

  Task<Result<client::WorkQueue::Outcome>> reconcile_pod(std::string key) {
    client::WorkQueue::Outcome done;
    auto pod = informers_.pods.get(key);
    if (!pod || pod->spec.nodeName.empty() || is_deleting(pod->metadata)) {
      tainted_since_.erase(key);
      co_return done;
    }
    auto node = informers_.nodes.get("", pod->spec.nodeName);
    if (!node || !has_no_execute(*node)) {
      if (tainted_since_.erase(key) > 0) {
        co_await events_.record(client::EventRecorder::about(*pod), "Normal", "TaintManagerEviction",
                                fmt::format("Cancelling deletion of Pod {}", key));
      }
      co_return done;
    }
    auto seen = tainted_since_.find(key);
    auto leave = leave_at(*pod, node->spec.taints, seen == tainted_since_.end() ? now() : seen->second);
    if (!leave) {
      tainted_since_.erase(key);
      co_return done;
    }
    if (seen == tainted_since_.end()) tainted_since_.emplace(key, now());
    if (*leave > now()) {
      done.again_after =
          std::chrono::duration_cast<std::chrono::milliseconds>(*leave - now()) + std::chrono::milliseconds(1);
      co_return done;
    }
    tainted_since_.erase(key);
    co_await events_.record(client::EventRecorder::about(*pod), "Normal", "TaintManagerEviction",
                            fmt::format("Marking for deletion Pod {}", key));
    RD_CO_TRYV(co_await mark_disrupted(api_, *pod, "DeletionByTaintManager",
                                       "Taint manager: deleting due to NoExecute taint", false));
    auto gone =
        co_await api_.remove<core::Pod>(pod->metadata.namespace_, pod->metadata.name, {.uid = pod->metadata.uid});
    if (!gone && !gone.error().is("NotFound") && !gone.error().is("Conflict")) co_return Error(gone.error());
    co_return done;
  }

  client::Client& api_;
  Informers& informers_;
  NodeLifecycleOptions options_;
  client::EventRecorder events_;
  client::WorkQueue taints_;
  client::WorkQueue pods_;
  Scope scope_;
  std::map<std::string, Health> nodes_;
  std::map<std::string, std::string> last_ready_;
  std::map<std::string, Zone> zones_;
  std::map<std::string, Timestamp> tainted_since_;  // pods with an eviction ahead
  bool all_down_ = false;
};

}  // namespace

std::unique_ptr<Controller> make_node_lifecycle(client::Client& api, Informers& informers,
                                                NodeLifecycleOptions options) {
  return std::make_unique<NodeLifecycleController>(api, informers, options);
}

}  // namespace redoubt::controllers
