// The WireGuard interface of a node: the kernel's, or where it has none, wireguard-go's on TUN.
//
// Blocking; needs CAP_NET_ADMIN; programs: ip, wg, and perhaps wireguard-go. The interface outlives this process, so
// that a restart of the agent disturbs no connection.
#pragma once
#include <string>
#include <vector>

#include "base/status.h"

namespace redoubt::podnetwork {

struct WireguardState {
  std::string interface;
  std::string config_file;                 // for wg, 0600
  std::vector<std::string> addresses;      // the interface's own, "10.244.1.0/32"
  std::vector<std::string> cluster_cidrs;  // routed into it
  int mtu = 0;
};

// Makes the interface when there is none, gives it this configuration (wireguard_config()), its addresses and routes.
// Sessions with peers that stay are not disturbed. ServiceUnavailable, with what to install, when neither the kernel
// nor wireguard-go is there.
Result<void> apply_wireguard(const WireguardState& state, const std::string& config);
// Whether interface and routes are there.
bool wireguard_in_place(const WireguardState& state);
bool interface_exists(const std::string& interface);
Result<void> remove_interface(const std::string& interface);

}  // namespace redoubt::podnetwork
