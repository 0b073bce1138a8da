#include "egress/tunnel_metrics.h"

#include <map>

namespace redoubt::egress {

namespace {

// An error as a label: errors are for people, a label is for a line of a dashboard.
constexpr size_t kMaxErrorLabel = 200;

double seconds(Timestamp at) {
  return std::chrono::duration<double>(at.time_since_epoch()).count();
}

}  // namespace

std::vector<MetricFamily> tunnel_metrics(const std::vector<TunnelInfo>& tunnels) {
  MetricFamily info{"redoubt_tunnel_info", "Each tunnel and its other end; 1 where it takes streams.", "gauge", {}};
  MetricFamily since{"redoubt_tunnel_start_time_seconds", "When the tunnel was made.", "gauge", {}};
  MetricFamily streams{"redoubt_tunnel_streams", "Streams that are open in the tunnel.", "gauge", {}};
  MetricFamily bytes{
      "redoubt_tunnel_bytes_total", "Bytes of streams that the tunnel carried since it was made.", "counter", {}};
  MetricFamily round_trip{
      "redoubt_tunnel_round_trip_seconds", "The shortest round trip seen in the tunnel.", "gauge", {}};
  MetricFamily errors{
      "redoubt_tunnel_last_error_info", "The last error of the tunnel, or of a dial over it.", "gauge", {}};
  std::map<std::pair<std::string_view, std::string_view>, TunnelInfo> merged;
  std::map<std::tuple<std::string_view, std::string_view, std::string_view>, bool> ends;
  for (const TunnelInfo& tunnel : tunnels) {
    if (!tunnel.peer.empty()) ends[{tunnel.kind, tunnel.node, tunnel.peer}] |= tunnel.up;
    auto [at, first] = merged.try_emplace({tunnel.kind, tunnel.node}, tunnel);
    if (first) continue;
    TunnelInfo& all = at->second;
    all.streams += tunnel.streams;
    all.bytes_to_node += tunnel.bytes_to_node;
    all.bytes_from_node += tunnel.bytes_from_node;
    if (tunnel.since < all.since) continue;
    all.since = tunnel.since;
    if (tunnel.round_trip.count() > 0) all.round_trip = tunnel.round_trip;
    if (!tunnel.last_error.empty()) all.last_error = tunnel.last_error;
  }
  for (const auto& [name, up] : ends) {
    const auto& [kind, node, peer] = name;
    info.samples.push_back(
        {{{"kind", std::string(kind)}, {"node", std::string(node)}, {"peer", std::string(peer)}}, up ? 1.0 : 0.0});
  }
  for (const auto& [name, tunnel] : merged) {
    MetricLabels labels{{"kind", std::string(name.first)}, {"node", std::string(name.second)}};
    auto with = [&labels](std::string key, std::string value) {
      MetricLabels out = labels;
      out.emplace_back(std::move(key), std::move(value));
      return out;
    };
    if (tunnel.since != Timestamp{}) since.samples.push_back({labels, seconds(tunnel.since)});
    streams.samples.push_back({labels, static_cast<double>(tunnel.streams)});
    bytes.samples.push_back({with("direction", "to_node"), static_cast<double>(tunnel.bytes_to_node)});
    bytes.samples.push_back({with("direction", "from_node"), static_cast<double>(tunnel.bytes_from_node)});
    if (tunnel.round_trip.count() > 0)
      round_trip.samples.push_back({labels, std::chrono::duration<double>(tunnel.round_trip).count()});
    if (!tunnel.last_error.empty())
      errors.samples.push_back({with("error", tunnel.last_error.substr(0, kMaxErrorLabel)), 1});
  }
  return {std::move(info),  std::move(since),      std::move(streams),
          std::move(bytes), std::move(round_trip), std::move(errors)};
}

}  // namespace redoubt::egress
