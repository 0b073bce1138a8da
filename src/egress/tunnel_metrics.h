// Tunnels as metrics: of each node and kind what is up, since when, streams, bytes, round trip and the last error.
#pragma once
#include <vector>

#include "base/metric_source.h"
#include "egress/tunnel_info.h"

namespace redoubt::egress {

// One series a node and kind: where there are two tunnels (an old one drains) they are added up, since and round trip
// being those of the newest. Tunnels of a node may come in any order.
std::vector<MetricFamily> tunnel_metrics(const std::vector<TunnelInfo>& tunnels);

}  // namespace redoubt::egress
