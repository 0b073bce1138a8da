// The server's end of reverse tunnels: takes connections that agents opened, and dials back over them.
//
//   pipeline: POST nodes/NAME/tunnel, authorized -> serve(NAME, stream, peer)     the connection's loop, until it ends
//   Dialer::dial(path, {node, address})                                           any loop
//
// A tunnel belongs to the loop that its connection is pinned to; a stream dialled from another loop goes through a
// cross-loop queue. A node may have several tunnels (the old one drains while the new one serves); the newest that
// takes streams is used. The tunnels of node N carry only what NodeAddresses of N allows.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "egress/dialer.h"
#include "egress/reverse/addresses.h"
#include "egress/tunnel_info.h"

namespace redoubt::egress::reverse {

struct TunnelServerOptions {
  // What node's tunnel may carry, by its Node object (spec.podCIDRs, and status.addresses). NotFound when there is
  // none. Any thread, doesn't wait.
  std::function<Result<NodeAddresses>(const std::string& node)> addresses;
  std::string server_id;  // of this process
  std::chrono::milliseconds ping_interval{5'000};
  // Nothing at all from the agent for so long, and the tunnel is dead (agents ping every few seconds).
  std::chrono::milliseconds silence_timeout{10'000};
};

class TunnelServer : public Dialer {
 public:
  static std::unique_ptr<TunnelServer> make(TunnelServerOptions options);
  // Runs a tunnel over `stream`, an upgraded connection of the calling loop, until it ends.
  virtual Task<void> serve(std::string node, net::StreamPtr stream, std::string peer) = 0;
  virtual const std::string& server_id() const = 0;
  // All there are, sorted by node. Any thread.
  virtual std::vector<TunnelInfo> list() const = 0;
  // Opens no further streams and tells agents to come back elsewhere or later; streams under way go on. Any thread.
  virtual void drain() = 0;
};

}  // namespace redoubt::egress::reverse
