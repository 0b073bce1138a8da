#include "egress/konnectivity/metrics.h"

#include "net/grpc.h"

namespace redoubt::konnectivity {

namespace {

std::string name_of(std::string_view subsystem, std::string_view name) {
  return fmt::format("konnectivity_network_proxy_{}_{}", subsystem, name);
}

std::vector<double> latencies() {
  return {0.000001, 0.00001, 0.0001, 0.005, 0.025, 0.1, 0.5, 2.5, 12.5};
}

}  // namespace

PacketCounts::PacketCounts(std::string_view subsystem, std::string_view segment)
    : subsystem_(subsystem), segment_(segment) {
  for (uint32_t i = 0; i < counts_.size(); ++i) {
    auto type = static_cast<PacketType>(i);
    counts_[i] = &counter(name_of(subsystem, "stream_packets_total"),
                          "Count of packets processed, by segment and packet type (example: from_client, DIAL_REQ)",
                          {{"segment", segment_}, {"packet_type", std::string(packet_type_name(type))}});
  }
}

void PacketCounts::add(PacketType type) {
  auto i = static_cast<size_t>(type);
  counts_[std::min(i, counts_.size() - 1)]->add();
}

void PacketCounts::failed(const Status& status) const {
  counter(name_of(subsystem_, "stream_errors_total"),
          "Count of gRPC stream errors, by segment, grpc Code, packet type. (example: from_agent, Code.Unavailable, "
          "DIAL_RSP)",
          {{"segment", segment_},
           {"code", std::string(net::grpc_code_name(net::grpc_code_of(status)))},
           {"packet_type", "Unknown"}})
      .add();
}

ServerMetrics::ServerMetrics()
    : dial_duration(histogram(name_of("server", "dial_duration_seconds"),
                              "Latency of dial to the remote endpoint in seconds", latencies())),
      frontend_write_duration(histogram(name_of("server", "frontend_write_duration_seconds"),
                                        "Latency of write to the frontend in seconds", latencies())),
      connection_duration(histogram(
          name_of("server", "connection_duration_seconds"),
          "Duration in seconds a proxied end-to-end connection was established (post-dial) before being closed.",
          {1, 5, 15, 30, 60, 300, 900, 1800, 3600, 14400, 43200, 86400})),
      proxy_calls(gauge(name_of("server", "grpc_connections"),
                        "Number of current grpc connections, partitioned by service method.",
                        {{"service_method", "Proxy"}})),
      connect_calls(gauge(name_of("server", "grpc_connections"),
                          "Number of current grpc connections, partitioned by service method.",
                          {{"service_method", "Connect"}})),
      http_connections(gauge(name_of("server", "http_connections"), "Number of current HTTP CONNECT connections")),
      backends_deprecated(gauge(name_of("server", "ready_backend_connections"),
                                "Number of konnectivity agent connected to the proxy server. DEPRECATED, please use "
                                "ready_backends")),
      pending_dials(
          gauge(name_of("server", "pending_backend_dials"), "Current number of pending backend dial requests")),
      established(gauge(name_of("server", "established_connections"),
                        "Current number of established end-to-end connections (post-dial).")),
      full_frontends(gauge(name_of("server", "full_receive_channels"),
                           "Number of current connections blocked by a full receive channel, partitioned by service "
                           "method.",
                           {{"service_method", "Proxy"}})),
      from_client("server", "from_client"),
      to_client("server", "to_client"),
      from_agent("server", "from_agent"),
      to_agent("server", "to_agent") {}

ServerMetrics& ServerMetrics::get() {
  static ServerMetrics metrics;
  return metrics;
}

Gauge& ServerMetrics::backends(std::string_view strategy) {
  return gauge(name_of("server", "ready_backends"), "Number of konnectivity agent connected to the proxy server",
               {{"proxy_strategy", std::string(strategy)}});
}

void ServerMetrics::dial_failed(std::string_view reason) {
  counter(name_of("server", "dial_failure_count"),
          "Number of dial failures observed. Multiple failures can occur for a single dial request.",
          {{"reason", std::string(reason)}})
      .add();
}

AgentMetrics::AgentMetrics()
    : dial_duration(histogram(name_of("agent", "dial_duration_seconds"),
                              "Latency of dial to the remote endpoint in seconds",
                              {0.005, 0.025, 0.1, 0.5, 2.5, 10, 30})),
      server_connections(
          gauge(name_of("agent", "open_server_connections"), "Current number of open server connections.")),
      server_count(
          gauge(name_of("agent", "known_server_count"), "Current number of servers agent is trying to connect to.")),
      endpoint_connections(
          gauge(name_of("agent", "open_endpoint_connections"), "Current number of open endpoint connections.")),
      failed_to_server(counter(name_of("agent", "server_connection_failure_count"),
                               "Count of failures to send to or receive from the proxy server, labeled by the "
                               "direction (from_server or to_server). DEPRECATED, please use stream_events_error_total",
                               {{"direction", "to_server"}})),
      failed_from_server(counter(name_of("agent", "server_connection_failure_count"),
                                 "Count of failures to send to or receive from the proxy server, labeled by the "
                                 "direction (from_server or to_server). DEPRECATED, please use "
                                 "stream_events_error_total",
                                 {{"direction", "from_server"}})),
      to_agent("agent", "to_agent"),
      from_agent("agent", "from_agent") {}

AgentMetrics& AgentMetrics::get() {
  static AgentMetrics metrics;
  return metrics;
}

void AgentMetrics::dial_failed(std::string_view reason) {
  counter(name_of("agent", "endpoint_dial_failure_total"),
          "Number of failures dialing the remote endpoint, by reason (example: timeout).",
          {{"reason", std::string(reason)}})
      .add();
}

}  // namespace redoubt::konnectivity
