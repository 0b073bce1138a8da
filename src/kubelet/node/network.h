// The pods' network of a node: a CNI configuration from its podCIDR, and the host's forwarding.
#pragma once
#include <string>

#include "base/status.h"

namespace redoubt::kubelet {

inline constexpr const char* kBridge = "redoubt0";

// Blocking. Writes DIR/10-redoubt.conflist: a bridge with addresses from `pod_cidr`. `mtu` 0: the machine's. Where an
// administrator put a configuration of another name, that one wins, and ours is taken away.
Result<void> write_cni_config(const std::string& cni_conf_dir, const std::string& pod_cidr,
                              const std::string& state_dir, int mtu);

}  // namespace redoubt::kubelet
