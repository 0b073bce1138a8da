// Upstream's metrics of proxy server, agent and client, under their names.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "base/metrics.h"
#include "base/status.h"
#include "egress/konnectivity/packet.h"

namespace redoubt::konnectivity {

// Packets of one direction of one segment: "from_client", "to_client", "from_agent", "to_agent". Made once.
class PacketCounts {
 public:
  // `subsystem` is "server", "agent" or "client".
  PacketCounts(std::string_view subsystem, std::string_view segment);
  void add(PacketType type);
  // stream_errors_total: the stream of this segment broke.
  void failed(const Status& status) const;

 private:
  std::string subsystem_, segment_;
  std::array<Counter*, 8> counts_;  // the last: types upstream does not have
};

struct ServerMetrics {
  Histogram& dial_duration;
  Histogram& frontend_write_duration;
  Histogram& connection_duration;
  Gauge& proxy_calls;
  Gauge& connect_calls;
  Gauge& http_connections;
  Gauge& backends_deprecated;
  Gauge& pending_dials;
  Gauge& established;
  Gauge& full_frontends;  // full_receive_channels{Proxy}: frontends that wait for an agent's tunnel
  PacketCounts from_client, to_client, from_agent, to_agent;

  static ServerMetrics& get();
  Gauge& backends(std::string_view strategy);
  // no_agent, error_response, unrecognized_response, send_rsp, backend_close, backend_dial_timeout, frontend_close; and
  // ours: too_many_dials.
  void dial_failed(std::string_view reason);

 private:
  ServerMetrics();
};

struct AgentMetrics {
  Histogram& dial_duration;
  Gauge& server_connections;
  Gauge& server_count;
  Gauge& endpoint_connections;
  Counter& failed_to_server;
  Counter& failed_from_server;
  PacketCounts to_agent, from_agent;

  static AgentMetrics& get();
  void dial_failed(std::string_view reason);  // timeout, unknown; and ours: denied, too_many_dials

 private:
  AgentMetrics();
};

}  // namespace redoubt::konnectivity
