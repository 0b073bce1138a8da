#include "kubelet/pods/container_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "kubelet/files.h"
#include "kubelet/pods/dns.h"
#include "pki/certificate.h"

namespace redoubt::kubelet {

namespace core = k8s::core::v1;

namespace {

constexpr int64_t kCpuPeriod = 100'000, kMinShares = 2, kMinQuota = 1000;

template <class Namespaces>
void set_namespaces(Namespaces* options, const core::Pod& pod) {
  options->set_network(pod.spec.hostNetwork ? cri::NODE : cri::POD);
  options->set_pid(pod.spec.hostPID                                 ? cri::NODE
                   : pod.spec.shareProcessNamespace.value_or(false) ? cri::POD
                                                                    : cri::CONTAINER);
  options->set_ipc(pod.spec.hostIPC ? cri::NODE : cri::POD);
}

template <class Map>
void set_labels(Map* labels, const core::Pod& pod) {
  (*labels)["io.kubernetes.pod.name"] = pod.metadata.name;
  (*labels)["io.kubernetes.pod.namespace"] = pod.metadata.namespace_;
  (*labels)["io.kubernetes.pod.uid"] = pod.metadata.uid;
}

}  // namespace

std::string pod_log_dir(const core::Pod& pod, const Options& options) {
  return fmt::format("{}/{}_{}_{}", options.pod_logs_dir, pod.metadata.namespace_, pod.metadata.name, pod.metadata.uid);
}

std::string expand(const std::string& text, const std::map<std::string, std::string>& known) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 >= text.size()) {
      out += text[i];
    } else if (text[i + 1] == '$') {
      out += '$';
      ++i;
    } else if (size_t end = text[i + 1] == '(' ? text.find(')', i) : std::string::npos; end != std::string::npos) {
      auto it = known.find(text.substr(i + 2, end - i - 2));
      out += it != known.end() ? it->second : text.substr(i, end - i + 1);
      i = end;
    } else {
      out += '$';
    }
  }
  return out;
}

cri::PodSandboxConfig sandbox_config(const core::Pod& pod, const Options& options, uint32_t attempt) {
  cri::PodSandboxConfig config;
  config.mutable_metadata()->set_name(pod.metadata.name);
  config.mutable_metadata()->set_namespace_(pod.metadata.namespace_);
  config.mutable_metadata()->set_uid(pod.metadata.uid);
  config.mutable_metadata()->set_attempt(attempt);
  config.set_hostname(
      pod.spec.hostNetwork ? "" : (pod.spec.hostname.empty() ? pod.metadata.name : pod.spec.hostname).substr(0, 63));
  config.set_log_directory(pod_log_dir(pod, options));
  for (const auto& [key, value] : pod.metadata.labels) (*config.mutable_labels())[key] = value;
  set_labels(config.mutable_labels(), pod);
  for (const auto& [key, value] : pod.metadata.annotations) (*config.mutable_annotations())[key] = value;
  auto* dns = config.mutable_dns_config();
  net::ResolvConf resolv = pod_resolv_conf(pod, options.cluster_dns, options.cluster_domain, options.node_dns);
  for (const std::string& server : resolv.nameservers) dns->add_servers(server);
  for (const std::string& search : resolv.searches) dns->add_searches(search);
  for (const std::string& option : resolv.options) dns->add_options(option);
  for (const auto& container : pod.spec.containers) {
    for (const auto& port : container.ports) {
      if (port.hostPort == 0 || pod.spec.hostNetwork) continue;
      auto* mapping = config.add_port_mappings();
      mapping->set_container_port(port.containerPort);
      mapping->set_host_port(port.hostPort);
      mapping->set_host_ip(port.hostIP);
      mapping->set_protocol(port.protocol == "UDP" ? cri::UDP : port.protocol == "SCTP" ? cri::SCTP : cri::TCP);
    }
  }
  auto* linux = config.mutable_linux();
  auto* security = linux->mutable_security_context();
  set_namespaces(security->mutable_namespace_options(), pod);
  for (const auto& container : pod.spec.containers) {
    if (container.securityContext && container.securityContext->privileged.value_or(false))
      security->set_privileged(true);
  }
  security->mutable_seccomp()->set_profile_type(cri::SecurityProfile_ProfileType_RuntimeDefault);
  if (pod.spec.securityContext) {
    for (const auto& sysctl : pod.spec.securityContext->sysctls)
      (*linux->mutable_sysctls())[sysctl.name] = sysctl.value;
    for (int64_t group : pod.spec.securityContext->supplementalGroups) security->add_supplemental_groups(group);
  }
  return config;
}

Result<cri::ContainerConfig> container_config(const core::Pod& pod, const core::Container& container,
                                              const std::vector<std::pair<std::string, std::string>>& environment,
                                              const std::map<std::string, std::string>& volumes,
                                              const std::string& pod_dir, uint32_t attempt) {
  cri::ContainerConfig config;
  config.mutable_metadata()->set_name(container.name);
  config.mutable_metadata()->set_attempt(attempt);
  config.mutable_image()->set_image(container.image);
  std::map<std::string, std::string> known(environment.begin(), environment.end());
  for (const auto& part : container.command) config.add_command(expand(part, known));
  for (const auto& part : container.args) config.add_args(expand(part, known));
  config.set_working_dir(container.workingDir);
  for (const auto& [key, value] : environment) {
    auto* env = config.add_envs();
    env->set_key(key);
    env->set_value(value);
  }
  config.set_log_path(fmt::format("{}/{}.log", container.name, attempt));
  config.set_stdin(container.stdin);
  config.set_stdin_once(container.stdinOnce);
  config.set_tty(container.tty);
  set_labels(config.mutable_labels(), pod);
  (*config.mutable_labels())["io.kubernetes.container.name"] = container.name;
  (*config.mutable_annotations())["io.kubernetes.container.restartCount"] = std::to_string(attempt);
  (*config.mutable_annotations())["io.kubernetes.container.terminationMessagePath"] = container.terminationMessagePath;
  (*config.mutable_annotations())["io.kubernetes.container.terminationMessagePolicy"] =
      container.terminationMessagePolicy;

  for (const auto& mount : container.volumeMounts) {
    auto it = volumes.find(mount.name);
    if (it == volumes.end()) return bad_request(fmt::format("volume \"{}\" is not there", mount.name));
    std::string source = it->second;
    std::string sub = !mount.subPathExpr.empty() ? expand(mount.subPathExpr, known) : mount.subPath;
    if (!sub.empty()) {
      if (sub.starts_with('/') || sub == ".." || sub.starts_with("../") || sub.find("/../") != std::string::npos ||
          sub.ends_with("/.."))
        return bad_request(fmt::format("subPath \"{}\" leaves the volume", sub));
      std::error_code error;
      if (!std::filesystem::exists(source + "/" + sub, error))
        std::filesystem::create_directories(source + "/" + sub, error);
      // A link inside the volume must not lead out of it.
      auto real = std::filesystem::canonical(source + "/" + sub, error),
           root = std::filesystem::canonical(source, error);
      if (error || !(real.string() == root.string() || real.string().starts_with(root.string() + "/")))
        return bad_request(fmt::format("subPath \"{}\" leaves the volume", sub));
      source = real;
    }
    auto* m = config.add_mounts();
    m->set_host_path(source);
    m->set_container_path(mount.mountPath);
    m->set_readonly(mount.readOnly);
    std::string propagation = mount.mountPropagation.value_or("None");
    m->set_propagation(propagation == "Bidirectional"     ? cri::PROPAGATION_BIDIRECTIONAL
                       : propagation == "HostToContainer" ? cri::PROPAGATION_HOST_TO_CONTAINER
                                                          : cri::PROPAGATION_PRIVATE);
  }
  // The kubelet's own files: /etc/hosts (not for pods on the host's network) and the termination message.
  if (!pod.spec.hostNetwork) {
    std::string hosts = "# Written by the kubelet.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
    if (!pod.status.podIP.empty())
      hosts +=
          fmt::format("{}\t{}\n", pod.status.podIP, pod.spec.hostname.empty() ? pod.metadata.name : pod.spec.hostname);
    for (const auto& alias : pod.spec.hostAliases)
      hosts += fmt::format("{}\t{}\n", alias.ip, fmt::join(alias.hostnames, "\t"));
    RD_TRYV(pki::write_file(pod_dir + "/etc-hosts", hosts, 0644));
    auto* m = config.add_mounts();
    m->set_host_path(pod_dir + "/etc-hosts");
    m->set_container_path("/etc/hosts");
  }
  if (!container.terminationMessagePath.empty()) {
    std::string path = fmt::format("{}/containers/{}/{}", pod_dir, container.name, attempt);
    RD_TRYV(make_folder(std::filesystem::path(path).parent_path()));
    RD_TRYV(pki::write_file(path, "", 0666));
    auto* m = config.add_mounts();
    m->set_host_path(path);
    m->set_container_path(container.terminationMessagePath);
  }

  auto* linux = config.mutable_linux();
  auto* resources = linux->mutable_resources();
  auto amount = [](const std::map<std::string, schema::Quantity>& map, const char* name) {
    auto it = map.find(name);
    return it == map.end() ? std::optional<schema::Quantity>() : it->second;
  };
  auto cpu_request = amount(container.resources.requests, "cpu"), cpu_limit = amount(container.resources.limits, "cpu"),
       memory = amount(container.resources.limits, "memory");
  resources->set_cpu_shares(cpu_request ? std::max(kMinShares, cpu_request->milli_value() * 1024 / 1000) : kMinShares);
  if (cpu_limit) {
    resources->set_cpu_period(kCpuPeriod);
    resources->set_cpu_quota(std::max(kMinQuota, cpu_limit->milli_value() * kCpuPeriod / 1000));
  }
  if (memory) resources->set_memory_limit_in_bytes(memory->value());

  auto* security = linux->mutable_security_context();
  set_namespaces(security->mutable_namespace_options(), pod);
  const core::SecurityContext none;
  const core::SecurityContext& own = container.securityContext ? *container.securityContext : none;
  const core::PodSecurityContext pod_none;
  const core::PodSecurityContext& shared = pod.spec.securityContext ? *pod.spec.securityContext : pod_none;
  security->set_privileged(own.privileged.value_or(false));
  security->set_readonly_rootfs(own.readOnlyRootFilesystem.value_or(false));
  security->set_no_new_privs(!own.allowPrivilegeEscalation.value_or(true));
  if (auto user = own.runAsUser ? own.runAsUser : shared.runAsUser) security->mutable_run_as_user()->set_value(*user);
  if (auto group = own.runAsGroup ? own.runAsGroup : shared.runAsGroup)
    security->mutable_run_as_group()->set_value(*group);
  if (own.runAsNonRoot.value_or(shared.runAsNonRoot.value_or(false)) &&
      (own.runAsUser ? own.runAsUser : shared.runAsUser).value_or(0) == 0) {
    return bad_request("container has runAsNonRoot and image will run as root");
  }
  for (int64_t group : shared.supplementalGroups) security->add_supplemental_groups(group);
  if (shared.fsGroup) security->add_supplemental_groups(*shared.fsGroup);
  if (own.capabilities) {
    for (const auto& name : own.capabilities->add) security->mutable_capabilities()->add_add_capabilities(name);
    for (const auto& name : own.capabilities->drop) security->mutable_capabilities()->add_drop_capabilities(name);
  }
  std::string profile = own.seccompProfile      ? own.seccompProfile->type
                        : shared.seccompProfile ? shared.seccompProfile->type
                                                : "Unconfined";
  security->mutable_seccomp()->set_profile_type(profile == "RuntimeDefault"
                                                    ? cri::SecurityProfile_ProfileType_RuntimeDefault
                                                    : cri::SecurityProfile_ProfileType_Unconfined);
  if (!own.privileged.value_or(false)) {
    for (const char* path :
         {"/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
          "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"}) {
      security->add_masked_paths(path);
    }
    for (const char* path : {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"})
      security->add_readonly_paths(path);
  }
  return config;
}

}  // namespace redoubt::kubelet
