// Reverse tunnels as the API server sees them: who may open one, and what a node's tunnel may carry.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "apiserver/connect.h"
#include "egress/reverse/tunnel_server.h"
#include "store/store.h"

namespace redoubt::apiserver {

// Hands a node's upgraded connection to `tunnels`. Beyond authorization (create nodes/tunnel), the request must come
// from that very node's own identity: not even an administrator stands in for a node.
std::unique_ptr<TunnelHandler> make_node_tunnel(egress::reverse::TunnelServer& tunnels);

// A node's addresses by its stored Node object: spec.podCIDRs, which the controller assigned, and the IP addresses in
// status.addresses.
std::function<Result<egress::reverse::NodeAddresses>(const std::string& node)> node_addresses(
    const store::Store& store);

}  // namespace redoubt::apiserver
