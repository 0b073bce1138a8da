// What leads pods' questions to the node's own DNS server: the kube-dns Service's address, made an address of this
// node.
//
// Packets to it then end on the node they come from, whichever program serves Services or makes the pods' network. They
// are not tracked (one table, "redoubt-dns", in the raw hooks), so that no service proxy translates or refuses them,
// and that a full connection table loses no name. Only pods and the node itself are let in. Blocking; needs
// CAP_NET_ADMIN.
#pragma once
#include <string>
#include <vector>

#include "base/status.h"

namespace redoubt::dns {

// Idempotent; replaces what is there.
Result<void> attach(const std::vector<std::string>& addresses, const std::vector<std::string>& pod_cidrs);
// False when somebody took the address or the table away.
bool attached(const std::vector<std::string>& addresses);
// Also when nothing is there.
Result<void> detach(const std::vector<std::string>& addresses);
// For `redoubt reset`: whatever an agent left.
Result<void> detach_all();

// The table's commands; "" when there is nothing of the family. For tests.
std::string attachment_script(bool v6, const std::vector<std::string>& addresses,
                              const std::vector<std::string>& pod_cidrs);

}  // namespace redoubt::dns
