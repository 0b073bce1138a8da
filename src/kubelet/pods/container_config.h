// From a pod's spec to what the runtime is told (CRI's configs).
#pragma once
#include <map>
#include <string>
#include <vector>

#include "kubelet/options.h"
#include "kubelet/runtime/cri.h"
#include "schema/k8s/core_v1.h"

namespace redoubt::kubelet {

cri::PodSandboxConfig sandbox_config(const k8s::core::v1::Pod& pod, const Options& options, uint32_t attempt);
std::string pod_log_dir(const k8s::core::v1::Pod& pod, const Options& options);

// `environment` is complete; `volumes`: host paths by volume name.
Result<cri::ContainerConfig> container_config(const k8s::core::v1::Pod& pod, const k8s::core::v1::Container& container,
                                              const std::vector<std::pair<std::string, std::string>>& environment,
                                              const std::map<std::string, std::string>& volumes,
                                              const std::string& pod_dir, uint32_t attempt);

// $(NAME) replaced from `known`; $$ is a dollar; what is not known stays.
std::string expand(const std::string& text, const std::map<std::string, std::string>& known);

}  // namespace redoubt::kubelet
