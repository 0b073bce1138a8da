// The ways from this process to the cluster, wired: tunnels, and the selector in front of them.
#pragma once
#include <memory>

#include "apiserver/node_tunnel.h"
#include "cmd/server.h"
#include "egress/dialer.h"
#include "egress/reverse/tunnel_server.h"
#include "store/store.h"

namespace redoubt::cmd {

struct Egress {
  std::unique_ptr<egress::reverse::TunnelServer> reverse;
  std::unique_ptr<apiserver::TunnelHandler> tunnels;
  std::unique_ptr<egress::Dialer> dialer;  // what everything dials by
};
// Reads the configuration's file. `store` must outlive it.
Result<Egress> make_egress(const EgressOptions& options, const store::Store& store);

}  // namespace redoubt::cmd
