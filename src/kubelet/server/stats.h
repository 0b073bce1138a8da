// What the node and its containers use, for /stats/summary, /metrics/resource and /metrics/cadvisor: containers as the
// runtime counts them, the machine as /proc does. Belongs to one loop.
#pragma once
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "kubelet/runtime/cri.h"

namespace redoubt::kubelet {

struct ContainerUsage {
  std::string id, name, pod, ns, pod_uid, image;
  Timestamp time{};
  Timestamp started{};
  uint64_t cpu_nanoseconds = 0;  // since the container started
  uint64_t cpu_nanocores = 0;    // lately
  uint64_t memory_working_set = 0, memory_usage = 0, memory_rss = 0, page_faults = 0, major_page_faults = 0;
  uint64_t disk_used = 0, disk_inodes = 0;  // of the writable layer
};

struct NodeUsage {
  Timestamp time{};
  Timestamp booted{};
  uint64_t cpu_nanoseconds = 0, cpu_nanocores = 0;
  uint64_t memory_total = 0, memory_available = 0, memory_free = 0, memory_rss = 0;
  uint64_t disk_total = 0, disk_available = 0, disk_inodes = 0, disk_inodes_free = 0;
  int64_t processes = 0, max_processes = 0;
};

struct Usage {
  NodeUsage node;
  std::vector<ContainerUsage> containers;  // running ones
};

class Stats {
 public:
  // `root_dir` tells which file system counts as the node's.
  Stats(Runtime& runtime, std::string root_dir) : runtime_(runtime), root_dir_(std::move(root_dir)) {}
  // Rates are over the time since the last call, at least kMinInterval ago: the first call waits for that long.
  Task<Result<Usage>> collect();

  static constexpr std::chrono::milliseconds kMinInterval{100};

 private:
  struct Sample {
    Timestamp time{};
    uint64_t cpu_nanoseconds = 0;
    uint64_t nanocores = 0;
  };
  uint64_t rate(const std::string& key, Timestamp time, uint64_t cpu_nanoseconds);
  Task<Result<void>> containers(Usage& usage);

  Runtime& runtime_;
  std::string root_dir_;
  std::map<std::string, Sample> last_;  // by container id; "" is the node
};

// The three documents.
std::string stats_summary(const Usage& usage, const std::string& node_name, bool cpu_and_memory_only);
std::string resource_metrics(const Usage& usage);
std::string cadvisor_metrics(const Usage& usage);

}  // namespace redoubt::kubelet
