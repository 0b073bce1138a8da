// Resolved policies as one nftables table.
//
// A pod that a policy selects has a chain for each direction that is restricted: the chains of its policies, then drop.
// Packets find it by a map, so that pods without a policy cost one look-up. Replies of connections that are allowed
// always pass, and so does what the node itself sends (kubelet's probes). Pure; any thread. Syntax: nft(8).
#pragma once
#include <string>
#include <vector>

#include "networkpolicy/resolved.h"

namespace redoubt::networkpolicy {

// The whole table in place of the one that is there: a transaction. `local`: networks whose pods are on this node;
// others' are enforced elsewhere. Only a removal when there is nothing to restrict here.
std::string table_script(const std::vector<Policy>& policies, const std::vector<std::string>& local);
std::string removal_script();

}  // namespace redoubt::networkpolicy
