#include "kubelet/pods/pod_worker.h"

#include <algorithm>

#include "base/json_text.h"
#include "base/log.h"
#include "base/random.h"
#include "kubelet/files.h"
#include "kubelet/pods/container_config.h"

namespace redoubt::kubelet {

namespace core = k8s::core::v1;

namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kFirstBackoff{10}, kLongestBackoff{300};
constexpr std::chrono::minutes kBackoffReset{10};
constexpr std::chrono::seconds kResync{60};  // volumes follow their ConfigMaps at least so often
constexpr std::chrono::minutes kCallTimeout{4};

bool deleting(const core::Pod& pod) {
  return pod.metadata.deletionTimestamp && !pod.metadata.deletionTimestamp->is_zero();
}

}  // namespace

PodWorker::PodWorker(PodServices services, std::shared_ptr<const core::Pod> pod)
    : s_(std::move(services)), pod_(std::move(pod)), changed_(s_.api.executor()) {}

void PodWorker::update(std::shared_ptr<const core::Pod> pod) {
  if (pod) {
    pod_ = std::move(pod);
  } else {
    gone_ = true;
  }
  changed_.notify();
}

Task<void> PodWorker::event(std::string type, std::string reason, std::string message) {
  core::Event e;
  e.metadata.name = fmt::format("{}.{:x}", pod_->metadata.name, random_u64());
  e.metadata.namespace_ = pod_->metadata.namespace_;
  e.involvedObject.kind = "Pod";
  e.involvedObject.apiVersion = "v1";
  e.involvedObject.name = pod_->metadata.name;
  e.involvedObject.namespace_ = pod_->metadata.namespace_;
  e.involvedObject.uid = pod_->metadata.uid;
  e.type = std::move(type);
  e.reason = std::move(reason);
  e.message = std::move(message);
  e.source.component = "kubelet";
  e.source.host = s_.options.node_name;
  e.reportingComponent = "kubelet";
  e.firstTimestamp = e.lastTimestamp = schema::Time::now();
  e.count = 1;
  co_await s_.api.create(std::move(e));
}

Task<void> PodWorker::run() {
  while (true) {
    if (gone_ || deleting(*pod_)) {
      int64_t grace = gone_ ? 1 : pod_->metadata.deletionGracePeriodSeconds.value_or(30);
      auto ended = co_await terminate(grace);
      if (ended && *ended) {
        auto cleaned = co_await s_.volumes.remove(pod_->metadata.uid);
        if (!cleaned)
          log_warning("removing a pod's volumes failed",
                      {{"pod", pod_->metadata.name}, {"error", cleaned.error().message()}});
        if (!gone_) {
          // The last word: it is gone from the node, so it may go from the API.
          auto removed = co_await s_.api.remove<core::Pod>(pod_->metadata.namespace_, pod_->metadata.name,
                                                           {.grace_period_seconds = 0, .uid = pod_->metadata.uid});
          if (!removed && !removed.error().is("NotFound") && !removed.error().is("Conflict")) {
            co_await sleep_for(std::chrono::milliseconds(500));
            continue;
          }
        }
        co_return;
      }
      if (!ended)
        log_warning("ending a pod failed; trying again",
                    {{"pod", pod_->metadata.name}, {"error", ended.error().message()}});
      co_await changed_.wait_for(std::chrono::milliseconds(500));
      continue;
    }
    next_.reset();
    if (auto ok = co_await sync(); !ok) {
      log_debug("pod sync failed", {{"pod", pod_->metadata.name}, {"error", ok.error().message()}});
      auto again = steady_clock::now() + std::chrono::seconds(2);
      if (!next_ || again < *next_) next_ = again;
    }
    auto wait = next_ ? std::clamp<std::chrono::nanoseconds>(*next_ - steady_clock::now(),
                                                             std::chrono::milliseconds(10), kResync)
                      : std::chrono::nanoseconds(kResync);
    co_await changed_.wait_for(wait);
  }
}

// Containers first, each with its grace, then the sandboxes. True once nothing is left.
Task<Result<bool>> PodWorker::terminate(int64_t grace) {
  PodRuntimeState state = s_.observe(pod_->metadata.uid);
  Scope stops(s_.api.executor(), "stop");
  auto failure = std::make_shared<std::optional<Status>>();
  for (const auto& container : state.containers) {
    if (container.state != cri::CONTAINER_RUNNING && container.state != cri::CONTAINER_CREATED) continue;
    stops.spawn([](Runtime& runtime, std::string id, int64_t seconds,
                   std::shared_ptr<std::optional<Status>> out) -> Task<void> {
      cri::StopContainerRequest request;
      request.set_container_id(id);
      request.set_timeout(seconds);
      auto done = co_await runtime.call<cri::StopContainerResponse>(
          "RuntimeService/StopContainer", request, std::chrono::seconds(seconds) + std::chrono::minutes(1));
      if (!done && !done.error().is("NotFound")) *out = done.error();
    }(s_.runtime, container.id, grace, failure));
  }
  co_await stops.wait_idle();
  if (*failure) co_return Error(**failure);
  for (const auto& sandbox : state.sandboxes) {
    cri::StopPodSandboxRequest stop;
    stop.set_pod_sandbox_id(sandbox.id);
    if (auto done =
            co_await s_.runtime.call<cri::StopPodSandboxResponse>("RuntimeService/StopPodSandbox", stop, kCallTimeout);
        !done && !done.error().is("NotFound"))
      co_return Error(done.error());
    cri::RemovePodSandboxRequest remove;
    remove.set_pod_sandbox_id(sandbox.id);
    if (auto done = co_await s_.runtime.call<cri::RemovePodSandboxResponse>("RuntimeService/RemovePodSandbox", remove,
                                                                            kCallTimeout);
        !done && !done.error().is("NotFound"))
      co_return Error(done.error());
  }
  co_return true;
}

Task<Result<std::string>> PodWorker::ensure_sandbox(const PodRuntimeState& state) {
  uint32_t attempt = 0;
  if (!state.sandboxes.empty()) {
    const auto& newest = state.sandboxes.front();
    attempt = newest.attempt + 1;
    if (newest.ready) {
      if (pod_ip_.empty()) {
        cri::PodSandboxStatusRequest request;
        request.set_pod_sandbox_id(newest.id);
        auto status =
            co_await s_.runtime.call<cri::PodSandboxStatusResponse>("RuntimeService/PodSandboxStatus", request);
        if (status) pod_ip_ = pod_->spec.hostNetwork ? s_.options.node_ip : status->status().network().ip();
      }
      co_return newest.id;
    }
  }
  RD_CO_TRYV(make_folder(pod_log_dir(*pod_, s_.options)));
  cri::RunPodSandboxRequest request;
  *request.mutable_config() = sandbox_config(*pod_, s_.options, attempt);
  auto made =
      co_await s_.runtime.call<cri::RunPodSandboxResponse>("RuntimeService/RunPodSandbox", request, kCallTimeout);
  if (!made) {
    co_await event("Warning", "FailedCreatePodSandBox", "Failed to create pod sandbox: " + made.error().message());
    co_return Error(made.error());
  }
  cri::PodSandboxStatusRequest ask;
  ask.set_pod_sandbox_id(made->pod_sandbox_id());
  auto status = co_await s_.runtime.call<cri::PodSandboxStatusResponse>("RuntimeService/PodSandboxStatus", ask);
  if (status) pod_ip_ = pod_->spec.hostNetwork ? s_.options.node_ip : status->status().network().ip();
  co_return made->pod_sandbox_id();
}

Task<Result<void>> PodWorker::ensure_image(core::Container container) {
  cri::ImageStatusRequest ask;
  ask.mutable_image()->set_image(container.image);
  RD_CO_TRY(auto there, co_await s_.runtime.call<cri::ImageStatusResponse>("ImageService/ImageStatus", ask));
  bool present = there.has_image() && !there.image().id().empty();
  if (present && container.imagePullPolicy != "Always") co_return Result<void>{};
  if (container.imagePullPolicy == "Never") {
    co_return Error(
        Status(400, "ErrImageNeverPull",
               fmt::format("Container image \"{}\" is not present with pull policy of Never", container.image)));
  }
  co_await event("Normal", "Pulling", fmt::format("Pulling image \"{}\"", container.image));
  cri::PullImageRequest pull;
  pull.mutable_image()->set_image(container.image);
  auto pulled =
      co_await s_.runtime.call<cri::PullImageResponse>("ImageService/PullImage", pull, std::chrono::minutes(15));
  if (!pulled) {
    co_await event("Warning", "Failed",
                   fmt::format("Failed to pull image \"{}\": {}", container.image, pulled.error().message()));
    co_return Error(Status(503, "ErrImagePull", pulled.error().message()));
  }
  co_return Result<void>{};
}

Task<Result<std::vector<std::pair<std::string, std::string>>>> PodWorker::environment(core::Container container) {
  std::vector<std::pair<std::string, std::string>> out;
  std::map<std::string, std::string> known;
  std::string ns = pod_->metadata.namespace_;
  auto set = [&](const std::string& key, std::string value) {
    known[key] = value;
    for (auto& [k, v] : out) {
      if (k == key) {
        v = std::move(value);
        return;
      }
    }
    out.emplace_back(key, std::move(value));
  };
  for (auto& [key, value] : s_.service_environment(ns)) set(key, value);
  for (const auto& from : container.envFrom) {
    if (from.configMapRef) {
      auto map = co_await s_.api.get<core::ConfigMap>(ns, from.configMapRef->name);
      if (!map && !(from.configMapRef->optional.value_or(false) && map.error().is("NotFound")))
        co_return Error(map.error());
      if (map) {
        for (const auto& [key, value] : map->data) set(from.prefix + key, value);
      }
    }
    if (from.secretRef) {
      auto secret = co_await s_.api.get<core::Secret>(ns, from.secretRef->name);
      if (!secret && !(from.secretRef->optional.value_or(false) && secret.error().is("NotFound")))
        co_return Error(secret.error());
      if (secret) {
        for (const auto& [key, value] : secret->data) set(from.prefix + key, value.bytes);
      }
    }
  }
  for (const auto& env : container.env) {
    if (!env.valueFrom) {
      set(env.name, expand(env.value, known));
      continue;
    }
    const auto& from = *env.valueFrom;
    if (from.fieldRef) {
      core::Pod shown = *pod_;
      shown.status.podIP = pod_ip_;
      shown.status.hostIP = s_.options.node_ip;
      RD_CO_TRY(std::string value, field_value(shown, from.fieldRef->fieldPath));
      set(env.name, std::move(value));
    } else if (from.resourceFieldRef) {
      RD_CO_TRY(std::string value, resource_value(container, *from.resourceFieldRef));
      set(env.name, std::move(value));
    } else if (from.configMapKeyRef) {
      bool optional = from.configMapKeyRef->optional.value_or(false);
      auto map = co_await s_.api.get<core::ConfigMap>(ns, from.configMapKeyRef->name);
      if (!map && optional && map.error().is("NotFound")) continue;
      if (!map) co_return Error(map.error());
      auto it = map->data.find(from.configMapKeyRef->key);
      if (it == map->data.end() && optional) continue;
      if (it == map->data.end())
        co_return bad_request(fmt::format("couldn't find key {} in ConfigMap {}/{}", from.configMapKeyRef->key, ns,
                                          from.configMapKeyRef->name));
      set(env.name, it->second);
    } else if (from.secretKeyRef) {
      bool optional = from.secretKeyRef->optional.value_or(false);
      auto secret = co_await s_.api.get<core::Secret>(ns, from.secretKeyRef->name);
      if (!secret && optional && secret.error().is("NotFound")) continue;
      if (!secret) co_return Error(secret.error());
      auto it = secret->data.find(from.secretKeyRef->key);
      if (it == secret->data.end() && optional) continue;
      if (it == secret->data.end())
        co_return bad_request(
            fmt::format("couldn't find key {} in Secret {}/{}", from.secretKeyRef->key, ns, from.secretKeyRef->name));
      set(env.name, it->second.bytes);
    }
  }
  co_return out;
}

Task<Result<void>> PodWorker::start_container(core::Container container, std::string sandbox_id, uint32_t attempt,
                                              std::map<std::string, std::string> volumes) {
  auto refuse = [&](std::string reason, const Status& status) {
    waiting_[container.name] = {std::move(reason), status.message()};
    return Error(status);
  };
  if (auto image = co_await ensure_image(container); !image) {
    std::string reason = image.error().reason();
    // The second failure in a row is shown as a back-off.
    Backoff& b = backoff_[container.name + "/image"];
    if (reason == "ErrImagePull") {
      b.delay = b.delay.count() == 0 ? kFirstBackoff : std::min(b.delay * 2, kLongestBackoff);
      b.until = steady_clock::now() + b.delay;
      if (b.delay > kFirstBackoff) reason = "ImagePullBackOff";
    }
    co_return refuse(reason == "ErrImageNeverPull" || reason == "ErrImagePull" || reason == "ImagePullBackOff"
                         ? reason
                         : "ErrImagePull",
                     image.error());
  }
  backoff_.erase(container.name + "/image");
  auto env = co_await environment(container);
  if (!env) co_return refuse("CreateContainerConfigError", env.error());
  auto config = container_config(*pod_, container, *env, volumes, s_.volumes.pod_dir(pod_->metadata.uid), attempt);
  if (!config) co_return refuse("CreateContainerConfigError", config.error());
  RD_CO_TRYV(make_folder(pod_log_dir(*pod_, s_.options) + "/" + container.name));
  cri::CreateContainerRequest create;
  create.set_pod_sandbox_id(sandbox_id);
  *create.mutable_config() = *config;
  *create.mutable_sandbox_config() = sandbox_config(*pod_, s_.options, 0);
  auto made =
      co_await s_.runtime.call<cri::CreateContainerResponse>("RuntimeService/CreateContainer", create, kCallTimeout);
  if (!made) {
    co_await event("Warning", "Failed", "Error: " + made.error().message());
    co_return refuse("CreateContainerError", made.error());
  }
  cri::StartContainerRequest start;
  start.set_container_id(made->container_id());
  auto started =
      co_await s_.runtime.call<cri::StartContainerResponse>("RuntimeService/StartContainer", start, kCallTimeout);
  if (!started) {
    co_await event("Warning", "Failed", "Error: " + started.error().message());
    co_return refuse("RunContainerError", started.error());
  }
  waiting_.erase(container.name);
  co_await event("Normal", "Started", fmt::format("Started container {}", container.name));
  co_return Result<void>{};
}

Task<Result<void>> PodWorker::sync() {
  PodRuntimeState state = s_.observe(pod_->metadata.uid);
  auto pod = pod_;
  auto wake_at = [&](steady_clock::time_point at) {
    if (!next_ || at < *next_) next_ = at;
  };
  bool ended = pod->status.phase == "Succeeded" || pod->status.phase == "Failed";
  bool never = pod->spec.restartPolicy == "Never", on_failure = pod->spec.restartPolicy == "OnFailure";
  Result<void> outcome;
  bool acted = false;
  if (!ended) {
    auto volumes = co_await s_.volumes.ensure(*pod);
    if (!volumes) {
      for (const auto& c : pod->spec.containers) waiting_[c.name] = {"ContainerCreating", ""};
      co_await event("Warning", "FailedMount", volumes.error().message());
      outcome = Error(volumes.error());
    }
    // Exit codes of what ended; -1 while it has not.
    std::map<std::string, int> exit_code;
    for (const auto& container : state.containers) {
      if (container.state != cri::CONTAINER_EXITED || exit_code.contains(container.name) ||
          state.latest(container.name) != &container)
        continue;
      cri::ContainerStatusRequest ask;
      ask.set_container_id(container.id);
      auto status = co_await s_.runtime.call<cri::ContainerStatusResponse>("RuntimeService/ContainerStatus", ask);
      exit_code[container.name] = status ? status->status().exit_code() : 255;
    }
    auto finished_for_good = [&](const core::Container& c) {
      auto it = exit_code.find(c.name);
      return it != exit_code.end() && (never || (on_failure && it->second == 0));
    };
    bool all_done = std::all_of(pod->spec.containers.begin(), pod->spec.containers.end(), finished_for_good);
    if (volumes && !all_done) {
      auto sandbox = co_await ensure_sandbox(state);
      if (!sandbox) {
        outcome = Error(sandbox.error());
      } else {
        bool fresh_sandbox = state.sandboxes.empty() || !state.sandboxes.front().ready;
        acted = fresh_sandbox;
        // One init container after the other, then all the rest at once.
        bool init_done = true;
        for (const auto& init : pod->spec.initContainers) {
          const auto* there = state.latest(init.name);
          bool sidecar = init.restartPolicy.value_or("") == "Always";
          bool good = there != nullptr && !fresh_sandbox &&
                      (sidecar ? there->state == cri::CONTAINER_RUNNING
                               : there->state == cri::CONTAINER_EXITED && exit_code[init.name] == 0);
          if (good) continue;
          bool main_started = std::any_of(pod->spec.containers.begin(), pod->spec.containers.end(),
                                          [&](const auto& c) { return state.latest(c.name) != nullptr; });
          if (!sidecar && main_started && !fresh_sandbox) continue;
          if (!sidecar) init_done = false;
          if (there != nullptr && !fresh_sandbox && there->state == cri::CONTAINER_RUNNING) break;
          if (there != nullptr && !fresh_sandbox && there->state == cri::CONTAINER_EXITED && never && !sidecar) break;
          Backoff& b = backoff_[init.name];
          if (there != nullptr && there->id != b.failed_id) {
            b.failed_id = there->id;
            b.delay = b.delay.count() == 0 ? kFirstBackoff : std::min(b.delay * 2, kLongestBackoff);
            b.until = steady_clock::now() + b.delay - kFirstBackoff;
          }
          if (steady_clock::now() < b.until) {
            waiting_[init.name] = {
                "CrashLoopBackOff",
                fmt::format("back-off {}s restarting failed container={} pod={}_{}({})", b.delay.count(), init.name,
                            pod->metadata.name, pod->metadata.namespace_, pod->metadata.uid)};
            wake_at(b.until);
            break;
          }
          auto started = co_await start_container(init, *sandbox, there == nullptr ? 0 : there->attempt + 1, *volumes);
          acted = true;
          if (!started) outcome = Error(started.error());
          if (!sidecar) break;
        }
        for (const auto& container : pod->spec.containers) {
          if (!init_done) {
            waiting_[container.name] = {"PodInitializing", ""};
            continue;
          }
          const auto* there = state.latest(container.name);
          if (there != nullptr && !fresh_sandbox &&
              (there->state == cri::CONTAINER_RUNNING || there->state == cri::CONTAINER_CREATED)) {
            waiting_.erase(container.name);
            continue;
          }
          if (finished_for_good(container)) {
            waiting_.erase(container.name);
            continue;
          }
          Backoff& b = backoff_[container.name];
          if (there != nullptr && there->id != b.failed_id) {
            // Ran long enough: the count starts anew. The first restart comes at once.
            bool long_run =
                std::chrono::nanoseconds(now().time_since_epoch()) - std::chrono::nanoseconds(there->created_at) >
                kBackoffReset;
            bool first = b.failed_id.empty() && there->attempt == 0;
            b.failed_id = there->id;
            b.delay = first || long_run      ? std::chrono::seconds(0)
                      : b.delay.count() == 0 ? kFirstBackoff
                                             : std::min(b.delay * 2, kLongestBackoff);
            b.until = steady_clock::now() + b.delay;
          }
          auto image = backoff_.find(container.name + "/image");
          if (image != backoff_.end() && steady_clock::now() < image->second.until) {
            wake_at(image->second.until);
            continue;
          }
          if (steady_clock::now() < b.until) {
            waiting_[container.name] = {
                "CrashLoopBackOff",
                fmt::format("back-off {}s restarting failed container={} pod={}_{}({})", b.delay.count(),
                            container.name, pod->metadata.name, pod->metadata.namespace_, pod->metadata.uid)};
            wake_at(b.until);
            continue;
          }
          auto started =
              co_await start_container(container, *sandbox, there == nullptr ? 0 : there->attempt + 1, *volumes);
          acted = true;
          if (!started) {
            outcome = Error(started.error());
            wake_at(steady_clock::now() + std::chrono::seconds(5));
          }
        }
      }
    }
  }
  if (acted) {
    s_.look_again();
    wake_at(steady_clock::now() + std::chrono::milliseconds(300));
  }
  co_await probe_containers(state);
  auto status = co_await make_status(state);
  if (!status) co_return Error(status.error());
  if (auto written = co_await write_status(std::move(*status)); !written) co_return written;
  if (!outcome) co_return outcome;
  co_return Result<void>{};
}

Task<Result<void>> PodWorker::write_status(core::PodStatus status) {
  std::string text = schema::to_json(status);
  if (text == written_) co_return Result<void>{};
  core::Pod changed = *pod_;
  changed.metadata.resourceVersion.clear();
  changed.status = std::move(status);
  auto written = co_await s_.api.update_status(std::move(changed));
  if (!written && !written.error().is("NotFound")) co_return Error(written.error());
  written_ = std::move(text);
  co_return Result<void>{};
}

}  // namespace redoubt::kubelet
