#include "scheduler/scheduler.h"

#include <set>

#include "base/json_text.h"
#include "base/log.h"
#include "base/random.h"
#include "scheduler/filters.h"

namespace redoubt::scheduler {

namespace {

constexpr const char* kName = "default-scheduler";
constexpr std::chrono::seconds kRetryUnschedulable{60};

bool finished(const core::Pod& pod) {
  return pod.status.phase == "Succeeded" || pod.status.phase == "Failed";
}

}  // namespace

struct Scheduler::State {
  State(client::Client& a, client::Informer<core::Pod>& p, client::Informer<core::Node>& n)
      : api(a),
        pods(p),
        nodes(n),
        queue(a.executor(), "scheduler", [this](std::string key) { return schedule(std::move(key)); }, 1) {
    pods.on_change([this](const auto& before, const auto& after) {
      if (after && after->spec.nodeName.empty() && after->spec.schedulerName == kName) queue.add(key_of(*after));
      if (after && !after->spec.nodeName.empty()) assumed.erase(key_of(*after));
      // A pod that leaves makes room.
      if (!after || (finished(*after) && before && !finished(*before))) wake();
      if (!after) {
        assumed.erase(key_of(*before));
        waiting.erase(key_of(*before));
      }
    });
    nodes.on_change([this](const auto& before, const auto& after) {
      if (!before || !after || before->spec.unschedulable != after->spec.unschedulable ||
          !schema::equal(before->spec, after->spec) || before->metadata.labels != after->metadata.labels ||
          before->status.allocatable.size() != after->status.allocatable.size()) {
        wake();
      }
    });
  }

  static std::string key_of(const core::Pod& pod) { return pod.metadata.namespace_ + "/" + pod.metadata.name; }

  void wake() {
    for (const std::string& key : std::exchange(waiting, {})) queue.add(key);
  }

  std::vector<NodeState> node_states() {
    std::vector<NodeState> out;
    std::map<std::string, size_t> index;
    for (const auto& [name, node] : nodes.objects()) {
      index[name] = out.size();
      out.push_back(NodeState{node.get(), {}, {}});
    }
    auto place = [&](const core::Pod& pod, const std::string& node) {
      auto it = index.find(node);
      if (it == index.end() || finished(pod)) return;
      NodeState& state = out[it->second];
      state.pods.push_back(&pod);
      Demand d = demand_of(pod);
      state.used.milli_cpu += d.milli_cpu;
      state.used.memory += d.memory;
      state.used.ephemeral_storage += d.ephemeral_storage;
      for (const auto& [n, amount] : d.extended) state.used.extended[n] += amount;
    };
    for (const auto& [key, pod] : pods.objects()) {
      auto bound = assumed.find(key);
      place(*pod, !pod->spec.nodeName.empty() ? pod->spec.nodeName : bound != assumed.end() ? bound->second : "");
    }
    return out;
  }

  Task<Result<client::WorkQueue::Outcome>> schedule(std::string key) {
    co_await nodes.wait_synced();
    auto pod = pods.get(key);
    if (!pod || !pod->spec.nodeName.empty() || assumed.contains(key) ||
        (pod->metadata.deletionTimestamp && !pod->metadata.deletionTimestamp->is_zero()))
      co_return client::WorkQueue::Outcome{};
    if (!pod->spec.schedulingGates.empty()) co_return client::WorkQueue::Outcome{};
    std::vector<NodeState> all = node_states();
    std::map<std::string, int> reasons;
    const NodeState* best = nullptr;
    int64_t best_score = 0;
    int ties = 0;
    for (const NodeState& state : all) {
      std::string why = filter(*pod, state, all);
      if (!why.empty()) {
        ++reasons[why];
        continue;
      }
      int64_t s = score(*pod, state);
      if (best == nullptr || s > best_score) {
        best = &state;
        best_score = s;
        ties = 1;
      } else if (s == best_score && random_below(static_cast<uint64_t>(++ties)) == 0) {
        best = &state;  // equals get equal chances
      }
    }
    if (best == nullptr) co_return co_await unschedulable(pod, std::move(reasons), all.size());
    std::string node = best->node->metadata.name;
    assumed[key] = node;
    core::Binding binding;
    binding.metadata.name = pod->metadata.name;
    binding.metadata.namespace_ = pod->metadata.namespace_;
    binding.metadata.uid = pod->metadata.uid;
    binding.target.kind = "Node";
    binding.target.name = node;
    std::string path = client::Client::object_path(*schema::find_resource("", "v1", "pods"), pod->metadata.namespace_,
                                                   pod->metadata.name, "binding");
    auto bound = co_await api.request("POST", path, schema::to_json(binding));
    if (!bound) {
      assumed.erase(key);
      if (bound.error().is("NotFound") || bound.error().is("Conflict")) co_return client::WorkQueue::Outcome{};
      co_return Error(bound.error());
    }
    co_await event(
        pod, "Normal", "Scheduled",
        fmt::format("Successfully assigned {}/{} to {}", pod->metadata.namespace_, pod->metadata.name, node));
    co_return client::WorkQueue::Outcome{};
  }

  Task<Result<client::WorkQueue::Outcome>> unschedulable(std::shared_ptr<const core::Pod> pod,
                                                         std::map<std::string, int> reasons, size_t total) {
    std::string message =
        total == 0 ? "no nodes available to schedule pods" : fmt::format("0/{} nodes are available: ", total);
    bool first = true;
    for (const auto& [why, count] : reasons) {
      message += fmt::format("{}{} {}", first ? "" : ", ", count, why);
      first = false;
    }
    if (total > 0) message += ".";
    waiting.insert(key_of(*pod));
    for (const auto& c : pod->status.conditions) {
      if (c.type == "PodScheduled" && c.status == "False" && c.message == message)
        co_return client::WorkQueue::Outcome{.again_after = kRetryUnschedulable};
    }
    std::string condition =
        R"({"status":{"conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable","message":)";
    append_json_string(condition, message);
    condition += fmt::format(R"(,"lastTransitionTime":"{}"}}]}}}})", format_rfc3339(now()));
    co_await api.patch<core::Pod>(pod->metadata.namespace_, pod->metadata.name, client::PatchType::StrategicMerge,
                                  condition, "status");
    co_await event(pod, "Warning", "FailedScheduling", message);
    co_return client::WorkQueue::Outcome{.again_after = kRetryUnschedulable};
  }

  Task<void> event(std::shared_ptr<const core::Pod> pod, std::string type, std::string reason, std::string message) {
    core::Event e;
    e.metadata.name = fmt::format("{}.{:x}", pod->metadata.name, random_u64());
    e.metadata.namespace_ = pod->metadata.namespace_;
    e.involvedObject.kind = "Pod";
    e.involvedObject.apiVersion = "v1";
    e.involvedObject.name = pod->metadata.name;
    e.involvedObject.namespace_ = pod->metadata.namespace_;
    e.involvedObject.uid = pod->metadata.uid;
    e.involvedObject.resourceVersion = pod->metadata.resourceVersion;
    e.type = std::move(type);
    e.reason = std::move(reason);
    e.message = std::move(message);
    e.source.component = kName;
    e.reportingComponent = kName;
    e.firstTimestamp = e.lastTimestamp = schema::Time::now();
    e.count = 1;
    co_await api.create(std::move(e));
  }

  client::Client& api;
  client::Informer<core::Pod>& pods;
  client::Informer<core::Node>& nodes;
  client::WorkQueue queue;
  std::map<std::string, std::string> assumed;  // bound here, not yet seen bound by the informer
  std::set<std::string> waiting;               // pods that fit nowhere
};

Scheduler::Scheduler(client::Client& api, client::Informer<core::Pod>& pods, client::Informer<core::Node>& nodes)
    : state_(std::make_unique<State>(api, pods, nodes)) {}
Scheduler::~Scheduler() = default;

Task<void> Scheduler::run() {
  Scope scope(state_->api.executor(), "scheduler");
  scope.spawn(state_->queue.run());
  std::exception_ptr cancelled;
  try {
    co_await scope.wait_idle();
  } catch (...) {
    cancelled = std::current_exception();
  }
  co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
  co_await scope.join();
  if (cancelled) std::rethrow_exception(cancelled);
}

}  // namespace redoubt::scheduler
