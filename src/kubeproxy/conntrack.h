// Connection tracking remembers where a UDP flow was sent, and goes on sending there after the endpoint has gone: such
// entries are removed, so that the next packet is led anew. (TCP notices by itself.) And its table has an end.
#pragma once
#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "base/status.h"

namespace redoubt::kubeproxy {

// One UDP flow as the kernel tracks it: what was asked for, and who answers.
struct UdpFlow {
  std::string destination;  // before translation
  uint16_t port = 0;
  std::string reply_source;  // after translation
  uint16_t reply_port = 0;
};

// Removes the flows that `stale` says yes to; how many. Needs CAP_NET_ADMIN. Blocking.
Result<size_t> forget_udp_flows(const std::function<bool(const UdpFlow&)>& stale);

struct TrackedFlows {
  size_t count = 0;
  size_t most = 0;  // net.netfilter.nf_conntrack_max: beyond it the kernel drops what would be a new connection
};
// Of this network namespace; nothing where the kernel tracks no connections.
std::optional<TrackedFlows> tracked_flows();

}  // namespace redoubt::kubeproxy
