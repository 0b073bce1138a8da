#include "egress/tunnel_metrics.h"

#include <gtest/gtest.h>

using namespace redoubt;
using namespace redoubt::egress;

namespace {

TunnelInfo tunnel(const char* node, const char* peer, int since, bool up) {
  TunnelInfo t;
  t.kind = "reverse";
  t.node = node;
  t.peer = peer;
  t.up = up;
  t.since = Timestamp{std::chrono::seconds(since)};
  t.streams = 2;
  t.bytes_to_node = 10;
  t.bytes_from_node = 20;
  t.round_trip = std::chrono::microseconds(since * 1000);
  t.last_error = "no " + t.peer;
  return t;
}

// "name{a,b} value" of each series.
std::vector<std::string> lines(const std::vector<MetricFamily>& families) {
  std::vector<std::string> out;
  for (const MetricFamily& family : families) {
    for (const MetricSample& sample : family.samples) {
      std::string line = family.name.substr(std::string_view("redoubt_tunnel_").size());
      for (const auto& [key, value] : sample.labels) line += " " + value;
      out.push_back(line + " = " + std::to_string(sample.value).substr(0, 5));
    }
  }
  return out;
}

}  // namespace

TEST(TunnelMetrics, AddUpTheTunnelsOfANodeAndNameEachOtherEnd) {
  auto seen = lines(tunnel_metrics({tunnel("n1", "10.0.0.1:2", 2, true), tunnel("n1", "10.0.0.1:1", 1, false),
                                    tunnel("n2", "10.0.0.2:1", 1, true)}));
  std::vector<std::string> expected = {"info reverse n1 10.0.0.1:1 = 0.000",
                                       "info reverse n1 10.0.0.1:2 = 1.000",
                                       "info reverse n2 10.0.0.2:1 = 1.000",
                                       "start_time_seconds reverse n1 = 2.000",
                                       "start_time_seconds reverse n2 = 1.000",
                                       "streams reverse n1 = 4.000",
                                       "streams reverse n2 = 2.000",
                                       "bytes_total reverse n1 to_node = 20.00",
                                       "bytes_total reverse n1 from_node = 40.00",
                                       "bytes_total reverse n2 to_node = 10.00",
                                       "bytes_total reverse n2 from_node = 20.00",
                                       "round_trip_seconds reverse n1 = 0.002",
                                       "round_trip_seconds reverse n2 = 0.001",
                                       "last_error_info reverse n1 no 10.0.0.1:2 = 1.000",
                                       "last_error_info reverse n2 no 10.0.0.2:1 = 1.000"};
  EXPECT_EQ(seen, expected);
}

TEST(TunnelMetrics, LeaveOutWhatIsNotKnown) {
  TunnelInfo t;
  t.kind = "ssh";
  t.node = "n1";
  t.up = false;
  auto seen = lines(tunnel_metrics({t}));
  EXPECT_EQ(seen, (std::vector<std::string>{"streams ssh n1 = 0.000", "bytes_total ssh n1 to_node = 0.000",
                                            "bytes_total ssh n1 from_node = 0.000"}));
}
