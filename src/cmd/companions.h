// What runs beside the kubelet on a node: the service proxy.
#pragma once
#include <string>

#include "kubelet/options.h"

namespace redoubt::cmd {

struct CompanionOptions {
  std::string cluster_cidr = "10.244.0.0/16";  // where pods' addresses come from
  bool disable_kube_proxy = false;             // another program serves Services here
};

// Adds them to the kubelet's options, which must be complete.
void add_companions(const CompanionOptions& options, kubelet::Options& agent);

}  // namespace redoubt::cmd
