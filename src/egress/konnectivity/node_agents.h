// Agents of a proxy server that is the API server's own: one that is known to be a node's may stand for that node only.
//
// Upstream's server believes what an agent says of itself: any agent may call itself another node, or the way to its
// addresses. Here an agent's id and identifiers are compared with who authenticated.
#pragma once
#include <functional>
#include <string>

#include "egress/konnectivity/header.h"
#include "egress/reverse/addresses.h"

namespace redoubt::konnectivity {

// What a Node object says may be reached through the node. NotFound when there is no such Node.
using AddressesOf = std::function<Result<egress::reverse::NodeAddresses>(const std::string& node)>;

// Forbidden, naming the identifier, unless an agent with this id and these identifiers may serve.
// `node`: the node that it authenticated as, by a node's certificate or a token bound to a node's pod; empty: a
// ServiceAccount of no known node, which may be a node's by nothing it says (neither id nor host may name a Node).
Result<void> check_node_agent(const std::string& node, const std::string& agent_id, const Identifiers& identifiers,
                              const AddressesOf& addresses);

}  // namespace redoubt::konnectivity
