#include "kubelet/server/stats.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "base/json_text.h"

namespace redoubt::kubelet {

namespace {

std::string read_file(const char* path) {
  std::ifstream in(path);
  return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}

uint64_t meminfo(const std::string& text, std::string_view name) {
  size_t at = text.find(std::string(name) + ":");
  if (at == std::string::npos) return 0;
  return std::strtoull(text.c_str() + at + name.size() + 1, nullptr, 10) * 1024;
}

NodeUsage machine(const std::string& root_dir) {
  NodeUsage out;
  out.time = now();
  std::istringstream stat(read_file("/proc/stat"));
  std::string word;
  static const auto ticks = static_cast<uint64_t>(::sysconf(_SC_CLK_TCK));
  while (stat >> word) {
    if (word == "cpu") {
      uint64_t user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;
      stat >> user >> nice >> system >> idle >> iowait >> irq >> softirq >> steal;
      out.cpu_nanoseconds = (user + nice + system + irq + softirq + steal) * (1'000'000'000 / ticks);
    } else if (word == "btime") {
      int64_t seconds = 0;
      stat >> seconds;
      out.booted = Timestamp(std::chrono::seconds(seconds));
    }
    std::getline(stat, word);
  }
  std::string memory = read_file("/proc/meminfo");
  out.memory_total = meminfo(memory, "MemTotal");
  out.memory_available = meminfo(memory, "MemAvailable");
  out.memory_free = meminfo(memory, "MemFree");
  out.memory_rss = meminfo(memory, "AnonPages");
  struct statvfs disk{};
  if (::statvfs(root_dir.c_str(), &disk) == 0) {
    out.disk_total = disk.f_blocks * disk.f_frsize;
    out.disk_available = disk.f_bavail * disk.f_frsize;
    out.disk_inodes = disk.f_files;
    out.disk_inodes_free = disk.f_ffree;
  }
  std::istringstream load(read_file("/proc/loadavg"));
  std::string counts;
  load >> word >> word >> word >> counts;
  if (size_t slash = counts.find('/'); slash != std::string::npos)
    out.processes = std::strtoll(counts.c_str() + slash + 1, nullptr, 10);
  out.max_processes = std::strtoll(read_file("/proc/sys/kernel/pid_max").c_str(), nullptr, 10);
  return out;
}

std::string label(const google::protobuf::Map<std::string, std::string>& labels, const char* name) {
  auto it = labels.find(name);
  return it == labels.end() ? std::string() : it->second;
}

Timestamp from_nanoseconds(int64_t value) {
  return Timestamp(std::chrono::microseconds(value / 1000));
}

double seconds(Timestamp time) {
  return static_cast<double>(time.time_since_epoch().count()) / 1e6;
}

std::string text(std::string_view value) {
  std::string out;
  append_json_string(out, value);
  return out;
}

std::string cpu_json(Timestamp time, uint64_t cores, uint64_t total) {
  return fmt::format(R"({{"time":"{}","usageNanoCores":{},"usageCoreNanoSeconds":{}}})", format_rfc3339(time), cores,
                     total);
}

std::string memory_json(const ContainerUsage& c) {
  return fmt::format(
      R"({{"time":"{}","usageBytes":{},"workingSetBytes":{},"rssBytes":{},"pageFaults":{},"majorPageFaults":{}}})",
      format_rfc3339(c.time), c.memory_usage, c.memory_working_set, c.memory_rss, c.page_faults, c.major_page_faults);
}

std::map<std::string, std::vector<const ContainerUsage*>> by_pod(const Usage& usage) {
  std::map<std::string, std::vector<const ContainerUsage*>> out;
  for (const auto& c : usage.containers) out[c.pod_uid].push_back(&c);
  return out;
}

// One family of a metrics text: the type, then a line a sample.
class Family {
 public:
  Family(std::string& out, const char* name, const char* type, const char* help) : out_(out), name_(name) {
    out_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  void add(const std::string& labels, double value) {
    out_ += fmt::format("{}{}{}{} {}\n", name_, labels.empty() ? "" : "{", labels, labels.empty() ? "" : "}", value);
  }

 private:
  std::string& out_;
  const char* name_;
};

// Names come from the API and hold nothing to be escaped; an image's might.
std::string escaped(std::string_view value) {
  std::string out;
  for (char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    if (c != '\n') out += c;
  }
  return out;
}

}  // namespace

uint64_t Stats::rate(const std::string& key, Timestamp time, uint64_t cpu_nanoseconds) {
  Sample& before = last_[key];
  auto passed = std::chrono::duration_cast<std::chrono::nanoseconds>(time - before.time).count();
  if (before.time != Timestamp{} && passed < std::chrono::nanoseconds(kMinInterval).count()) return before.nanocores;
  uint64_t out = 0;
  if (before.time != Timestamp{} && cpu_nanoseconds >= before.cpu_nanoseconds)
    out = static_cast<uint64_t>(static_cast<double>(cpu_nanoseconds - before.cpu_nanoseconds) * 1e9 /
                                static_cast<double>(passed));
  before = {time, cpu_nanoseconds, out};
  return out;
}

Task<Result<void>> Stats::containers(Usage& usage) {
  cri::ListContainersRequest which;
  which.mutable_filter()->mutable_state()->set_state(cri::CONTAINER_RUNNING);
  RD_CO_TRY(auto list, co_await runtime_.call<cri::ListContainersResponse>("RuntimeService/ListContainers", which));
  RD_CO_TRY(auto stats, co_await runtime_.call<cri::ListContainerStatsResponse>("RuntimeService/ListContainerStats",
                                                                                cri::ListContainerStatsRequest()));
  std::map<std::string, const cri::Container*> running;
  for (const auto& c : list.containers()) running[c.id()] = &c;
  for (const auto& s : stats.stats()) {
    auto it = running.find(s.attributes().id());
    if (it == running.end()) continue;
    const auto& labels = it->second->labels();
    ContainerUsage out;
    out.id = s.attributes().id();
    out.name = label(labels, "io.kubernetes.container.name");
    out.pod = label(labels, "io.kubernetes.pod.name");
    out.ns = label(labels, "io.kubernetes.pod.namespace");
    out.pod_uid = label(labels, "io.kubernetes.pod.uid");
    out.image = it->second->image().image();
    out.started = from_nanoseconds(it->second->created_at());
    out.time = from_nanoseconds(s.cpu().timestamp());
    out.cpu_nanoseconds = s.cpu().usage_core_nano_seconds().value();
    out.cpu_nanocores = rate(out.id, out.time, out.cpu_nanoseconds);
    out.memory_working_set = s.memory().working_set_bytes().value();
    out.memory_usage = s.memory().usage_bytes().value();
    out.memory_rss = s.memory().rss_bytes().value();
    out.page_faults = s.memory().page_faults().value();
    out.major_page_faults = s.memory().major_page_faults().value();
    if (out.memory_usage == 0) out.memory_usage = out.memory_working_set;
    out.disk_used = s.writable_layer().used_bytes().value();
    out.disk_inodes = s.writable_layer().inodes_used().value();
    usage.containers.push_back(std::move(out));
  }
  std::erase_if(last_, [&](const auto& item) { return !item.first.empty() && !running.contains(item.first); });
  co_return Result<void>{};
}

Task<Result<Usage>> Stats::collect() {
  if (last_.empty()) {
    Usage first;
    first.node = machine(root_dir_);
    (void)rate("", first.node.time, first.node.cpu_nanoseconds);
    RD_CO_TRYV(co_await containers(first));
    co_await sleep_for(kMinInterval);
  }
  Usage out;
  out.node = machine(root_dir_);
  out.node.cpu_nanocores = rate("", out.node.time, out.node.cpu_nanoseconds);
  RD_CO_TRYV(co_await containers(out));
  co_return out;
}

std::string stats_summary(const Usage& usage, const std::string& node_name, bool cpu_and_memory_only) {
  const NodeUsage& n = usage.node;
  std::string time = format_rfc3339(n.time);
  std::string out = fmt::format(
      R"({{"node":{{"nodeName":{},"startTime":"{}","cpu":{},"memory":{{"time":"{}","availableBytes":{},"usageBytes":{},)"
      R"("workingSetBytes":{},"rssBytes":{}}})",
      text(node_name), format_rfc3339(n.booted), cpu_json(n.time, n.cpu_nanocores, n.cpu_nanoseconds), time,
      n.memory_available, n.memory_total - n.memory_free, n.memory_total - n.memory_available, n.memory_rss);
  std::string disk = fmt::format(
      R"({{"time":"{}","availableBytes":{},"capacityBytes":{},"usedBytes":{},"inodesFree":{},"inodes":{},"inodesUsed":{}}})",
      time, n.disk_available, n.disk_total, n.disk_total - n.disk_available, n.disk_inodes_free, n.disk_inodes,
      n.disk_inodes - n.disk_inodes_free);
  if (!cpu_and_memory_only)
    out += fmt::format(R"(,"fs":{},"runtime":{{"imageFs":{}}},"rlimit":{{"time":"{}","maxpid":{},"curproc":{}}})", disk,
                       disk, time, n.max_processes, n.processes);
  out += "},\"pods\":[";
  bool first_pod = true;
  for (const auto& [uid, containers] : by_pod(usage)) {
    const ContainerUsage& any = *containers.front();
    ContainerUsage sum;
    sum.time = any.time;
    Timestamp started = any.started;
    std::string parts;
    for (const ContainerUsage* c : containers) {
      started = std::min(started, c->started);
      sum.cpu_nanocores += c->cpu_nanocores;
      sum.cpu_nanoseconds += c->cpu_nanoseconds;
      sum.memory_usage += c->memory_usage;
      sum.memory_working_set += c->memory_working_set;
      sum.memory_rss += c->memory_rss;
      sum.page_faults += c->page_faults;
      sum.major_page_faults += c->major_page_faults;
      sum.disk_used += c->disk_used;
      parts += fmt::format(R"({}{{"name":{},"startTime":"{}","cpu":{},"memory":{})", parts.empty() ? "" : ",",
                           text(c->name), format_rfc3339(c->started),
                           cpu_json(c->time, c->cpu_nanocores, c->cpu_nanoseconds), memory_json(*c));
      if (!cpu_and_memory_only)
        parts += fmt::format(
            R"(,"rootfs":{{"time":"{}","availableBytes":{},"capacityBytes":{},"usedBytes":{},"inodesUsed":{}}})",
            format_rfc3339(c->time), n.disk_available, n.disk_total, c->disk_used, c->disk_inodes);
      parts += "}";
    }
    out += fmt::format(
        R"({}{{"podRef":{{"name":{},"namespace":{},"uid":{}}},"startTime":"{}","containers":[{}],"cpu":{},"memory":{})",
        first_pod ? "" : ",", text(any.pod), text(any.ns), text(uid), format_rfc3339(started), parts,
        cpu_json(sum.time, sum.cpu_nanocores, sum.cpu_nanoseconds), memory_json(sum));
    if (!cpu_and_memory_only)
      out +=
          fmt::format(R"(,"ephemeral-storage":{{"time":"{}","availableBytes":{},"capacityBytes":{},"usedBytes":{}}})",
                      format_rfc3339(sum.time), n.disk_available, n.disk_total, sum.disk_used);
    out += "}";
    first_pod = false;
  }
  return out + "]}";
}

std::string resource_metrics(const Usage& usage) {
  std::string out;
  auto container = [](const ContainerUsage& c) {
    return fmt::format(R"(container="{}",namespace="{}",pod="{}")", c.name, c.ns, c.pod);
  };
  {
    Family f(out, "container_cpu_usage_seconds_total", "counter",
             "Cumulative cpu time consumed by the container in core-seconds");
    for (const auto& c : usage.containers) f.add(container(c), static_cast<double>(c.cpu_nanoseconds) / 1e9);
  }
  {
    Family f(out, "container_memory_working_set_bytes", "gauge", "Current working set of the container in bytes");
    for (const auto& c : usage.containers) f.add(container(c), static_cast<double>(c.memory_working_set));
  }
  {
    Family f(out, "container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds");
    for (const auto& c : usage.containers) f.add(container(c), seconds(c.started));
  }
  Family(out, "node_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the node in core-seconds")
      .add("", static_cast<double>(usage.node.cpu_nanoseconds) / 1e9);
  Family(out, "node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes")
      .add("", static_cast<double>(usage.node.memory_total - usage.node.memory_available));
  std::string cpu, memory;
  for (const auto& [uid, containers] : by_pod(usage)) {
    uint64_t nanoseconds = 0, bytes = 0;
    for (const ContainerUsage* c : containers) {
      nanoseconds += c->cpu_nanoseconds;
      bytes += c->memory_working_set;
    }
    std::string labels = fmt::format(R"(namespace="{}",pod="{}")", containers[0]->ns, containers[0]->pod);
    cpu += fmt::format("pod_cpu_usage_seconds_total{{{}}} {}\n", labels, static_cast<double>(nanoseconds) / 1e9);
    memory += fmt::format("pod_memory_working_set_bytes{{{}}} {}\n", labels, bytes);
  }
  Family(out, "pod_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the pod in core-seconds");
  out += cpu;
  Family(out, "pod_memory_working_set_bytes", "gauge", "Current working set of the pod in bytes");
  out += memory;
  Family(out, "resource_scrape_error", "gauge", "1 if there was an error while getting container metrics, 0 otherwise")
      .add("", 0);
  return out;
}

std::string cadvisor_metrics(const Usage& usage) {
  std::string out;
  auto labels = [](const ContainerUsage& c) {
    return fmt::format(R"(container="{}",id="{}",image="{}",name="{}",namespace="{}",pod="{}")", c.name, c.id,
                       escaped(c.image), c.id, c.ns, c.pod);
  };
  auto family = [&](const char* name, const char* type, const char* help, auto value) {
    Family f(out, name, type, help);
    for (const auto& c : usage.containers) f.add(labels(c), value(c));
  };
  family("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.",
         [](const auto& c) { return static_cast<double>(c.cpu_nanoseconds) / 1e9; });
  family("container_memory_usage_bytes", "gauge", "Current memory usage in bytes, with all memory.",
         [](const auto& c) { return static_cast<double>(c.memory_usage); });
  family("container_memory_working_set_bytes", "gauge", "Current working set in bytes.",
         [](const auto& c) { return static_cast<double>(c.memory_working_set); });
  family("container_memory_rss", "gauge", "Size of RSS in bytes.",
         [](const auto& c) { return static_cast<double>(c.memory_rss); });
  family("container_fs_usage_bytes", "gauge", "Bytes that the container's writable layer takes.",
         [](const auto& c) { return static_cast<double>(c.disk_used); });
  family("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds.",
         [](const auto& c) { return seconds(c.started); });
  Family(out, "machine_cpu_cores", "gauge", "Number of logical CPU cores.")
      .add("", static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN)));
  Family(out, "machine_memory_bytes", "gauge", "Amount of memory installed on the machine.")
      .add("", static_cast<double>(usage.node.memory_total));
  return out;
}

}  // namespace redoubt::kubelet
