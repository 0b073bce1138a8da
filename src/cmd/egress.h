// The ways from this process to the cluster, wired: tunnels, and the selector in front of them.
#pragma once
#include <memory>

#include "apiserver/node_tunnel.h"
#include "base/metric_source.h"
#include "cmd/konnectivity/in_process.h"
#include "cmd/server.h"
#include "cmd/tunnel_loop.h"
#include "egress/dialer.h"
#include "egress/reverse/tunnel_server.h"
#include "egress/ssh/dialer.h"
#include "store/store.h"

namespace redoubt::cmd {

// Destroyed from the last to the first: who dials, the tunnels' loop, the tunnels, and what is left of the loop.
struct Egress {
  std::unique_ptr<TunnelLoop> loop;                     // where there is a tunnel that lives on it
  std::unique_ptr<egress::ssh::SshTunnels> ssh;         // where --ssh-keyfile is given
  std::unique_ptr<InProcessKonnectivity> konnectivity;  // where --konnectivity-agent-port is given
  std::unique_ptr<TunnelLoop, FinishLoop> running;      // of `loop`
  std::unique_ptr<egress::reverse::TunnelServer> reverse;
  std::unique_ptr<apiserver::TunnelHandler> tunnels;
  std::unique_ptr<egress::Dialer> through_konnectivity;
  std::unique_ptr<egress::Dialer> dialer;  // what everything dials by
  std::unique_ptr<MetricSource> metrics;   // of the tunnels

  // All there are, of every kind. Any thread.
  std::vector<egress::TunnelInfo> list() const;
};
// Reads the configuration's files. `store` must outlive it. `konnectivity` says how its server knows agents.
Result<Egress> make_egress(const EgressOptions& options, const store::Store& store, AgentTrust konnectivity);

}  // namespace redoubt::cmd
