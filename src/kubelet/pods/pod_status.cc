// What a pod's status says: phase, conditions and containers, from what the runtime has and what the status said
// before.
#include <algorithm>

#include "kubelet/pods/pod_worker.h"
#include "pki/certificate.h"

namespace redoubt::kubelet {

namespace core = k8s::core::v1;

Task<Result<core::PodStatus>> PodWorker::make_status(PodRuntimeState state) {
  auto pod = pod_;
  core::PodStatus out = pod->status;
  auto previous = [](const std::vector<core::ContainerStatus>& list,
                     const std::string& name) -> const core::ContainerStatus* {
    for (const auto& s : list) {
      if (s.name == name) return &s;
    }
    return nullptr;
  };
  bool any_running = false, all_ready = true, all_ended = true, any_failed = false, any_started = false;
  auto nanos = [](int64_t n) {
    return schema::Time{std::chrono::floor<std::chrono::seconds>(Timestamp(std::chrono::microseconds(n / 1000)))};
  };
  auto describe = [&](const core::Container& container,
                      const std::vector<core::ContainerStatus>& before) -> Task<core::ContainerStatus> {
    core::ContainerStatus s;
    s.name = container.name;
    s.image = container.image;
    if (const auto* old = previous(before, container.name)) s.lastState = old->lastState;
    const auto* there = state.latest(container.name);
    auto waiting = waiting_.find(container.name);
    if (there == nullptr) {
      auto& w = s.state.waiting.emplace();
      w.reason = waiting != waiting_.end()          ? waiting->second.first
                 : pod->spec.initContainers.empty() ? "ContainerCreating"
                                                    : "PodInitializing";
      if (waiting != waiting_.end()) w.message = waiting->second.second;
      co_return s;
    }
    s.restartCount = static_cast<int32_t>(there->attempt);
    s.containerID = "containerd://" + there->id;
    cri::ContainerStatusRequest ask;
    ask.set_container_id(there->id);
    auto got = co_await s_.runtime.call<cri::ContainerStatusResponse>("RuntimeService/ContainerStatus", ask);
    if (!got) {
      s.state.waiting.emplace().reason = "ContainerStatusUnknown";
      co_return s;
    }
    const cri::ContainerStatus& status = got->status();
    s.imageID = status.image_ref();
    if (status.state() == cri::CONTAINER_RUNNING) {
      s.state.running.emplace().startedAt = nanos(status.started_at());
      s.started = true;
      auto startup = probes_.find(container.name + "/startup");
      if (container.startupProbe)
        s.started = startup != probes_.end() && startup->second.container_id == there->id && startup->second.result;
      auto readiness = probes_.find(container.name + "/readiness");
      s.ready =
          s.started.value_or(false) &&
          (!container.readinessProbe ||
           (readiness != probes_.end() && readiness->second.container_id == there->id && readiness->second.result));
    } else if (status.state() == cri::CONTAINER_EXITED) {
      core::ContainerStateTerminated t;
      t.exitCode = status.exit_code();
      t.reason = status.reason().empty() ? (t.exitCode == 0 ? "Completed" : "Error") : status.reason();
      t.startedAt = nanos(status.started_at());
      t.finishedAt = nanos(status.finished_at());
      t.containerID = s.containerID;
      auto message = pki::read_file(
          fmt::format("{}/containers/{}/{}", s_.volumes.pod_dir(pod->metadata.uid), container.name, there->attempt));
      if (message && !message->empty()) t.message = message->substr(0, 4096);
      if (waiting != waiting_.end()) {
        auto& w = s.state.waiting.emplace();
        w.reason = waiting->second.first;
        w.message = waiting->second.second;
        s.lastState = {};
        s.lastState.terminated = std::move(t);
      } else if (s.lastState.terminated && s.lastState.terminated->containerID == s.containerID) {
        // Its end is known already and its successor about to start: it goes on waiting until then.
        const auto* old = previous(before, container.name);
        s.state.waiting = old != nullptr && old->state.waiting ? old->state.waiting : core::ContainerStateWaiting{};
      } else {
        s.state.terminated = std::move(t);
      }
    } else {
      s.state.waiting.emplace().reason = "ContainerCreating";
    }
    // The one before this is what went wrong last.
    if (status.state() == cri::CONTAINER_RUNNING && there->attempt > 0) {
      for (const auto& older : state.containers) {
        if (older.name != container.name || older.attempt + 1 != there->attempt) continue;
        cri::ContainerStatusRequest ask_old;
        ask_old.set_container_id(older.id);
        auto old = co_await s_.runtime.call<cri::ContainerStatusResponse>("RuntimeService/ContainerStatus", ask_old);
        if (!old) break;
        s.lastState = {};
        auto& t = s.lastState.terminated.emplace();
        t.exitCode = old->status().exit_code();
        t.reason = old->status().reason().empty() ? (t.exitCode == 0 ? "Completed" : "Error") : old->status().reason();
        t.startedAt = nanos(old->status().started_at());
        t.finishedAt = nanos(old->status().finished_at());
        t.containerID = "containerd://" + older.id;
      }
    }
    co_return s;
  };
  std::vector<core::ContainerStatus> containers, inits;
  bool initialized = true, init_failed = false;
  for (const auto& init : pod->spec.initContainers) {
    core::ContainerStatus s = co_await describe(init, pod->status.initContainerStatuses);
    bool sidecar = init.restartPolicy.value_or("") == "Always";
    bool good = sidecar ? s.started.value_or(false) : s.state.terminated && s.state.terminated->exitCode == 0;
    if (s.state.terminated && s.state.terminated->exitCode == 0) s.ready = true;
    if (!good) initialized = false;
    if (!sidecar && s.state.terminated && s.state.terminated->exitCode != 0 && pod->spec.restartPolicy == "Never")
      init_failed = true;
    inits.push_back(std::move(s));
  }
  for (const auto& container : pod->spec.containers) {
    core::ContainerStatus s = co_await describe(container, pod->status.containerStatuses);
    any_running = any_running || s.state.running;
    any_started = any_started || s.state.running || s.state.terminated || s.lastState.terminated;
    all_ready = all_ready && s.ready;
    all_ended = all_ended && s.state.terminated;
    any_failed = any_failed || (s.state.terminated && s.state.terminated->exitCode != 0);
    containers.push_back(std::move(s));
  }
  if (any_started && !pod->spec.initContainers.empty() &&
      std::none_of(inits.begin(), inits.end(), [](const auto& s) { return s.state.waiting.has_value(); }))
    initialized = true;
  std::string phase = "Pending";
  bool restarts_all = pod->spec.restartPolicy == "Always", restarts_failed = pod->spec.restartPolicy == "OnFailure";
  if (init_failed) {
    phase = "Failed";
  } else if (all_ended && !restarts_all && !(restarts_failed && any_failed)) {
    phase = any_failed ? "Failed" : "Succeeded";
  } else if (any_started) {
    phase = "Running";
  }
  if (pod->status.phase == "Succeeded" || pod->status.phase == "Failed") phase = pod->status.phase;
  out.phase = phase;
  out.containerStatuses = std::move(containers);
  out.initContainerStatuses = std::move(inits);
  out.hostIP = s_.options.node_ip;
  out.hostIPs.clear();
  out.hostIPs.emplace_back().ip = s_.options.node_ip;
  if (!pod_ip_.empty()) {
    out.podIP = pod_ip_;
    out.podIPs.clear();
    out.podIPs.emplace_back().ip = pod_ip_;
  }
  if (!out.startTime || out.startTime->is_zero()) out.startTime = schema::Time::now();
  bool over = phase == "Succeeded" || phase == "Failed";
  auto condition = [&](const std::string& type, bool yes, std::string reason) {
    core::PodCondition* found = nullptr;
    for (auto& c : out.conditions) {
      if (c.type == type) found = &c;
    }
    if (found == nullptr) {
      found = &out.conditions.emplace_back();
      found->type = type;
    }
    std::string value = yes ? "True" : "False";
    if (found->status != value) found->lastTransitionTime = schema::Time::now();
    found->status = value;
    found->reason = yes ? "" : std::move(reason);
    found->message.clear();
    if (!yes && found->reason == "ContainersNotReady") {
      std::string names;
      for (const auto& s : out.containerStatuses) {
        if (!s.ready) names += (names.empty() ? "" : " ") + s.name;
      }
      found->message = fmt::format("containers with unready status: [{}]", names);
    }
  };
  bool sandbox = !state.sandboxes.empty() && state.sandboxes.front().ready;
  condition("PodReadyToStartContainers", sandbox || (!pod_ip_.empty() && !over), "");
  condition("Initialized", initialized, "ContainersNotInitialized");
  condition("ContainersReady", all_ready && !over, over ? "PodCompleted" : "ContainersNotReady");
  condition("Ready", all_ready && !over, over ? "PodCompleted" : "ContainersNotReady");
  bool scheduled = false;
  for (const auto& c : out.conditions) scheduled = scheduled || c.type == "PodScheduled";
  if (!scheduled) condition("PodScheduled", true, "");
  co_return out;
}

}  // namespace redoubt::kubelet
