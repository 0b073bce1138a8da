// One machine: server and agent in one process, joined the way any node joins.
#pragma once
#include "cmd/server.h"
#include "kubelet/options.h"

namespace redoubt::cmd {

// Fills in how the kubelet reaches this server; while it has no identity yet, makes a bootstrap token of ten minutes.
// Blocking.
Result<void> prepare_local_agent(const Server& server, kubelet::Options& options);

// Pods, containerd, mounts, the bridge, nft tables: what `redoubt reset` removes. Blocking.
Result<void> reset_machine(const kubelet::Options& options);

}  // namespace redoubt::cmd
