// A containerd of the node's own: its configuration, its start, its end. It outlives the kubelet on purpose: pods keep
// running.
#pragma once
#include <string>

#include "base/status.h"
#include "kubelet/options.h"

namespace redoubt::kubelet {

std::string containerd_socket(const Options& options);
std::string cni_conf_dir(const Options& options);
// Blocking. Starts it unless it runs already.
Result<void> ensure_containerd(const Options& options);
// Blocking. Stops it and the shims it left.
void stop_containerd(const Options& options);

}  // namespace redoubt::kubelet
