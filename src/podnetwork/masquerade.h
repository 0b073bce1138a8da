// Pods' way out of the cluster: they get the node's address there, and keep their own inside it (which network policies
// and Services' source ranges need).
#pragma once
#include <string>
#include <vector>

#include "base/status.h"

namespace redoubt::podnetwork {

// Table "redoubt-podnet" of each family. Pure.
std::string masquerade_script(const std::vector<std::string>& own_cidrs, const std::vector<std::string>& cluster_cidrs);
// Blocking.
bool masquerade_in_place(const std::vector<std::string>& own_cidrs);
Result<void> remove_masquerade();

}  // namespace redoubt::podnetwork
