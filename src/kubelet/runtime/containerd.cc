#include "kubelet/runtime/containerd.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/log.h"
#include "kubelet/files.h"
#include "pki/certificate.h"

namespace redoubt::kubelet {

namespace {

std::string folder(const Options& o) {
  return o.run_dir + "/containerd";
}

bool has_cap_sys_resource() {
  std::ifstream file("/proc/self/status");
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("CapEff:")) return (std::stoull(line.substr(7), nullptr, 16) >> 24 & 1) != 0;
  }
  return false;
}

std::string config(const Options& o) {
  std::string base = folder(o);
  return fmt::format(R"(version = 2
root = "{0}/containerd"
state = "{1}/state"
[grpc]
  address = "{1}/containerd.sock"
[ttrpc]
  address = "{1}/containerd.sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "{0}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{2}"
  max_container_log_line_size = 262144
  restrict_oom_score_adj = {3}
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{4}"
    conf_dir = "{5}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
)",
                     o.root_dir, base, o.pod_infra_container_image, has_cap_sys_resource() ? "false" : "true",
                     o.cni_bin_dir, cni_conf_dir(o));
}

pid_t running_pid(const Options& o) {
  auto text = pki::read_file(folder(o) + "/containerd.pid");
  if (!text) return 0;
  pid_t pid = std::atoi(text->c_str());
  auto command = pki::read_file(fmt::format("/proc/{}/cmdline", pid));
  return pid > 0 && command && command->find(folder(o) + "/config.toml") != std::string::npos ? pid : 0;
}

}  // namespace

std::string containerd_socket(const Options& o) {
  return folder(o) + "/containerd.sock";
}
std::string cni_conf_dir(const Options& o) {
  return folder(o) + "/cni";
}

Result<void> ensure_containerd(const Options& o) {
  if (running_pid(o) != 0) return {};
  RD_TRYV(make_folder(folder(o), 0700));
  RD_TRYV(make_folder(cni_conf_dir(o)));
  RD_TRYV(make_folder(o.root_dir + "/containerd", 0700));
  RD_TRYV(pki::write_file(folder(o) + "/config.toml", config(o), 0600));
  std::string config_path = folder(o) + "/config.toml", log_path = folder(o) + "/containerd.log";
  // Forked twice, in a session of its own: it is nobody's child and no signal of ours reaches it.
  pid_t child = ::fork();
  if (child == 0) {
    ::setsid();
    if (::fork() != 0) ::_exit(0);
    int log = ::open(log_path.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::dup2(null, 0);
    ::dup2(log, 1);
    ::dup2(log, 2);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    std::ofstream(folder(o) + "/containerd.pid") << ::getpid();
    ::closefrom(3);
    ::execlp("containerd", "containerd", "--config", config_path.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  if (child < 0) return service_unavailable("can't start containerd: fork failed");
  ::waitpid(child, nullptr, 0);
  for (int i = 0; i < 200; ++i) {
    if (::access(containerd_socket(o).c_str(), F_OK) == 0 && running_pid(o) != 0) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return service_unavailable(
      fmt::format("containerd did not come up within ten seconds; is it installed? Its log is {}", log_path));
}

void stop_containerd(const Options& o) {
  if (pid_t pid = running_pid(o); pid != 0) {
    ::kill(pid, SIGTERM);
    for (int i = 0; i < 100 && ::kill(pid, 0) == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ::kill(pid, SIGKILL);
  }
  // Shims hold on to what they were started for; none should be left once the pods are gone.
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    auto command = pki::read_file(entry.path().string() + "/cmdline");
    if (command && command->find("containerd-shim") != std::string::npos &&
        command->find(containerd_socket(o)) != std::string::npos)
      ::kill(std::atoi(name.c_str()), SIGKILL);
  }
  std::filesystem::remove(folder(o) + "/containerd.pid", error);
}

}  // namespace redoubt::kubelet
