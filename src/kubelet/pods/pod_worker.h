// One pod on this node: a task that brings what runs to what the API wants, and writes back what it sees.
//
// Each turn looks at the runtime, does what is missing, and sleeps until something changes (the pod, a container, a
// probe, a back-off). Nothing is kept in a checkpoint: restart counts and start times come from the runtime. Belongs to
// one loop.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/event.h"
#include "client/client.h"
#include "kubelet/options.h"
#include "kubelet/runtime/cri.h"
#include "kubelet/volumes/volumes.h"
#include "schema/k8s/core_v1.h"

namespace redoubt::kubelet {

// What the runtime shows of one pod.
struct PodRuntimeState {
  struct Container {
    std::string id;
    std::string name;
    uint32_t attempt = 0;
    cri::ContainerState state = cri::CONTAINER_UNKNOWN;
    int64_t created_at = 0;
  };
  struct Sandbox {
    std::string id;
    uint32_t attempt = 0;
    bool ready = false;
    int64_t created_at = 0;
  };
  std::vector<Sandbox> sandboxes;     // newest first
  std::vector<Container> containers;  // newest first
  const Container* latest(const std::string& name) const {
    for (const Container& c : containers) {
      if (c.name == name) return &c;
    }
    return nullptr;
  }
};

struct PodServices {
  client::Client& api;
  Runtime& runtime;
  Volumes& volumes;
  const Options& options;
  // The runtime's newest view of a pod, by uid.
  std::function<PodRuntimeState(const std::string& uid)> observe;
  // Service environment variables of a namespace.
  std::function<std::vector<std::pair<std::string, std::string>>(const std::string& ns)> service_environment;
  // Asks for a fresh view of the runtime at once.
  std::function<void()> look_again;
};

class PodWorker {
 public:
  PodWorker(PodServices services, std::shared_ptr<const k8s::core::v1::Pod> pod);
  void update(std::shared_ptr<const k8s::core::v1::Pod> pod);  // null: the API no longer knows it
  void wake() { changed_.notify(); }
  const k8s::core::v1::Pod& pod() const { return *pod_; }
  // Until the pod is gone from this node.
  Task<void> run();

 private:
  struct Backoff {
    std::chrono::seconds delay{0};
    std::chrono::steady_clock::time_point until{};
    std::string failed_id;
  };
  struct Probe {
    bool result = false;
    bool known = false;
    int failures = 0, successes = 0;
    std::string container_id;
    std::chrono::steady_clock::time_point next{};
  };
  Task<Result<void>> sync();
  Task<Result<bool>> terminate(int64_t grace_seconds);
  Task<Result<std::string>> ensure_sandbox(const PodRuntimeState& state);
  Task<Result<void>> start_container(k8s::core::v1::Container container, std::string sandbox_id, uint32_t attempt,
                                     std::map<std::string, std::string> volumes);
  Task<Result<std::vector<std::pair<std::string, std::string>>>> environment(k8s::core::v1::Container container);
  Task<Result<void>> ensure_image(k8s::core::v1::Container container);
  Task<void> probe_containers(PodRuntimeState state);
  Task<bool> run_probe(k8s::core::v1::Probe probe, k8s::core::v1::Container container, std::string id);
  Task<Result<k8s::core::v1::PodStatus>> make_status(PodRuntimeState state);
  Task<Result<void>> write_status(k8s::core::v1::PodStatus status);
  Task<void> event(std::string type, std::string reason, std::string message);

  PodServices s_;
  std::shared_ptr<const k8s::core::v1::Pod> pod_;
  bool gone_ = false;
  Event changed_;
  std::map<std::string, Backoff> backoff_;                              // by container
  std::map<std::string, std::pair<std::string, std::string>> waiting_;  // container -> reason, message
  std::map<std::string, Probe> probes_;                                 // "container/kind"
  std::map<std::string, std::pair<int, std::string>> exits_;            // init container results
  std::string pod_ip_;
  std::string written_;
  std::optional<std::chrono::steady_clock::time_point> next_;
};

}  // namespace redoubt::kubelet
