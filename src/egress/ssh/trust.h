// The files that SSH tunnels go by, read together: our key, and the hosts that are known.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "egress/ssh/known_hosts.h"

namespace redoubt::egress::ssh {

struct Trust {
  std::shared_ptr<const std::string> private_key;  // wiped with its last user
  KnownHosts known_hosts;
  std::string known_hosts_file;

  // The keys that a node's sshd may show: the known hosts' for its name and address where there are any, else those
  // that its Node object publishes. What is revoked never counts.
  std::vector<HostKey> of(const std::string& node, const std::string& address, uint16_t port,
                          const std::string& published) const;
};

// Blocking. BadRequest names the file. A key file that others may read is refused, as ssh does.
Result<std::shared_ptr<const Trust>> read_trust(const std::string& key_file, const std::string& known_hosts_file);

}  // namespace redoubt::egress::ssh
