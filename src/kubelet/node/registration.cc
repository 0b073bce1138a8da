#include "kubelet/node/registration.h"

#include <sys/statvfs.h>
#include <sys/utsname.h>

#include <fstream>
#include <sstream>

#include "base/log.h"
#include "pki/certificate.h"
#include "schema/k8s/coordination_v1.h"

namespace redoubt::kubelet {

namespace {

namespace core = k8s::core::v1;
using Lease = k8s::coordination::v1::Lease;

constexpr std::chrono::seconds kLeaseEvery{10}, kStatusAtLeastEvery{300};
constexpr int32_t kLeaseSeconds = 40;
constexpr int64_t kMaxPods = 110;

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

int64_t memory_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  int64_t kilobytes = 0;
  file >> key >> kilobytes;
  return kilobytes * 1024;
}

std::string os_name() {
  std::ifstream file("/etc/os-release");
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("PRETTY_NAME=\"")) return line.substr(13, line.size() - 14);
  }
  return "Linux";
}

void set_condition(core::NodeStatus& status, std::string type, std::string value, std::string reason,
                   std::string message) {
  core::NodeCondition* found = nullptr;
  for (auto& c : status.conditions) {
    if (c.type == type) found = &c;
  }
  if (found == nullptr) {
    found = &status.conditions.emplace_back();
    found->type = type;
  }
  if (found->status != value) found->lastTransitionTime = schema::Time::now();
  found->status = std::move(value);
  found->reason = std::move(reason);
  found->message = std::move(message);
  found->lastHeartbeatTime = schema::Time::now();
}

}  // namespace

Task<Result<core::NodeStatus>> Registration::status(core::NodeStatus s) {
  auto version = co_await runtime_.call<cri::VersionResponse>("RuntimeService/Version", cri::VersionRequest());
  utsname name{};
  ::uname(&name);
  struct statvfs disk{};
  ::statvfs(options_.root_dir.c_str(), &disk);
  int64_t disk_bytes = static_cast<int64_t>(disk.f_blocks) * static_cast<int64_t>(disk.f_frsize);
  s.capacity["cpu"] = schema::Quantity::of(std::thread::hardware_concurrency());
  s.capacity["memory"] = *schema::Quantity::parse(std::to_string(memory_bytes() / 1024) + "Ki");
  s.capacity["ephemeral-storage"] = *schema::Quantity::parse(std::to_string(disk_bytes / 1024) + "Ki");
  s.capacity["pods"] = schema::Quantity::of(kMaxPods);
  s.allocatable = s.capacity;
  // A tenth of the disk stays free, and as much memory as upstream's eviction threshold.
  s.allocatable["ephemeral-storage"] = schema::Quantity::of(disk_bytes / 10 * 9);
  s.allocatable["memory"] = *schema::Quantity::parse(std::to_string(memory_bytes() / 1024 - 100 * 1024) + "Ki");
  s.addresses.clear();
  auto& ip = s.addresses.emplace_back();
  ip.type = "InternalIP";
  ip.address = options_.node_ip;
  auto& host = s.addresses.emplace_back();
  host.type = "Hostname";
  host.address = options_.node_name;
  s.daemonEndpoints.kubeletEndpoint.Port = options_.port;
  auto& info = s.nodeInfo;
  info.machineID = first_line("/etc/machine-id");
  info.systemUUID = first_line("/sys/class/dmi/id/product_uuid");
  info.bootID = first_line("/proc/sys/kernel/random/boot_id");
  info.kernelVersion = name.release;
  info.osImage = os_name();
  info.operatingSystem = "linux";
  info.architecture = std::string_view(name.machine) == "aarch64" ? "arm64" : "amd64";
  info.kubeletVersion = "v1.35.4+redoubt";
  if (version)
    info.containerRuntimeVersion = fmt::format("{}://{}", version->runtime_name(), version->runtime_version());
  std::string problem = !version ? "container runtime is down: " + version.error().message() : problem_;
  if (problem.empty()) {
    cri::StatusRequest request;
    auto state = co_await runtime_.call<cri::StatusResponse>("RuntimeService/Status", request);
    if (state) {
      for (const auto& condition : state->status().conditions()) {
        if (!condition.status() && problem.empty())
          problem = fmt::format("container runtime {}: {}", condition.type(), condition.message());
      }
    }
  }
  set_condition(s, "MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available");
  set_condition(s, "DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure");
  set_condition(s, "PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available");
  set_condition(s, "Ready", problem.empty() ? "True" : "False", problem.empty() ? "KubeletReady" : "KubeletNotReady",
                problem.empty() ? "kubelet is posting ready status" : problem);
  cri::ListImagesRequest list;
  if (auto images = co_await runtime_.call<cri::ListImagesResponse>("ImageService/ListImages", list)) {
    s.images.clear();
    for (const auto& image : images->images()) {
      if (s.images.size() == 50) break;
      auto& one = s.images.emplace_back();
      for (const auto& tag : image.repo_digests()) one.names.push_back(tag);
      for (const auto& tag : image.repo_tags()) one.names.push_back(tag);
      one.sizeBytes = static_cast<int64_t>(image.size());
    }
  }
  co_return s;
}

Task<Result<std::string>> Registration::register_node() {
  core::Node node;
  node.metadata.name = options_.node_name;
  utsname name{};
  ::uname(&name);
  std::string arch = std::string_view(name.machine) == "aarch64" ? "arm64" : "amd64";
  node.metadata.labels = {{"kubernetes.io/hostname", options_.node_name},
                          {"kubernetes.io/os", "linux"},
                          {"kubernetes.io/arch", arch},
                          {"beta.kubernetes.io/os", "linux"},
                          {"beta.kubernetes.io/arch", arch}};
  auto made = co_await api_.create(std::move(node));
  if (!made && !made.error().is("AlreadyExists")) co_return Error(made.error().with_context("registering the node"));
  RD_CO_TRYV(co_await write_status());
  while (options_.manage_network) {
    auto there = co_await api_.get<core::Node>("", options_.node_name);
    if (there && !there->spec.podCIDR.empty()) co_return there->spec.podCIDR;
    co_await sleep_for(std::chrono::milliseconds(50));
  }
  co_return std::string();
}

Task<Result<void>> Registration::write_status() {
  RD_CO_TRY(core::Node node, co_await api_.get<core::Node>("", options_.node_name));
  RD_CO_TRY(core::NodeStatus fresh, co_await status(node.status));
  core::NodeStatus compared = fresh;
  for (auto& c : compared.conditions) c.lastHeartbeatTime = {};
  std::string text = schema::to_json(compared);
  auto present = std::chrono::steady_clock::now();
  if (text == last_written_ && present - written_at_ < kStatusAtLeastEvery) co_return Result<void>{};
  node.status = std::move(fresh);
  // The status is the kubelet's alone: what others change beside it is no conflict.
  node.metadata.resourceVersion.clear();
  RD_CO_TRYV(co_await api_.update_status(std::move(node)));
  last_written_ = std::move(text);
  written_at_ = present;
  co_return Result<void>{};
}

Task<Result<void>> Registration::renew_lease() {
  auto lease = co_await api_.get<Lease>("kube-node-lease", options_.node_name);
  Lease wanted;
  if (lease) wanted = *lease;
  wanted.metadata.name = options_.node_name;
  wanted.metadata.namespace_ = "kube-node-lease";
  wanted.spec.holderIdentity = options_.node_name;
  wanted.spec.leaseDurationSeconds = kLeaseSeconds;
  wanted.spec.renewTime = schema::MicroTime::now();
  if (lease) {
    RD_CO_TRYV(co_await api_.update(std::move(wanted)));
  } else {
    RD_CO_TRYV(co_await api_.create(std::move(wanted)));
  }
  co_return Result<void>{};
}

Task<void> Registration::run() {
  while (true) {
    if (auto ok = co_await renew_lease(); !ok)
      log_warning("renewing the node's lease failed", {{"error", ok.error().message()}});
    // Quick while not ready, so that a node is ready as soon as it can be.
    for (int i = 0; i < 10; ++i) {
      if (auto ok = co_await write_status(); !ok)
        log_debug("writing the node's status failed", {{"error", ok.error().message()}});
      bool ready = last_written_.find(R"("status":"True","lastTransitionTime")") != std::string::npos ||
                   last_written_.find("KubeletReady\"") != std::string::npos;
      if (ready) {
        co_await sleep_for(kLeaseEvery);
        break;
      }
      co_await sleep_for(std::chrono::milliseconds(500));
    }
  }
}

}  // namespace redoubt::kubelet
