// The node agent: joins, registers the node, runs its pods, serves the kubelet API.
//
// Runs on one loop of its own. Paths: kubelet-apiserver (out), apiserver-kubelet (in).
#pragma once
#include <memory>

#include "base/status.h"
#include "kubelet/options.h"

namespace redoubt::kubelet {

class Kubelet {
 public:
  // Joins, starts containerd when told to, registers, and serves. Blocking until the node runs; errors say what failed.
  static Result<std::unique_ptr<Kubelet>> start(Options options);
  // Only gets the node's identity (node/join.h), for a later start. Blocking.
  static Result<void> join(const Options& options);
  virtual ~Kubelet() = default;  // stops; pods keep running. Blocking
};

// Removes what a node leaves behind: pods, containerd, mounts, the bridge. Blocking; for `redoubt reset`.
Result<void> reset_node(const Options& options);

}  // namespace redoubt::kubelet
