#include "kubelet/server/stats.h"

#include <gtest/gtest.h>

#include "schema/codec.h"

using namespace redoubt;
using namespace redoubt::kubelet;

namespace {

Usage some() {
  Usage out;
  out.node.time = out.node.booted = *parse_rfc3339("2026-01-02T03:04:05Z");
  out.node.memory_total = 1000;
  out.node.memory_available = 600;
  out.node.memory_free = 500;
  for (const char* name : {"a", "b"}) {
    ContainerUsage c;
    c.id = std::string("id-") + name;
    c.name = name;
    c.pod = "web";
    c.ns = "d";
    c.pod_uid = "u1";
    c.image = "evil\"image";
    c.time = c.started = out.node.time;
    c.cpu_nanoseconds = 1'500'000'000;
    c.cpu_nanocores = 5;
    c.memory_working_set = 100;
    out.containers.push_back(c);
  }
  return out;
}

}  // namespace

TEST(Stats, SummaryIsJsonWithSumsByPod) {
  for (bool brief : {false, true}) {
    std::string text = stats_summary(some(), "n1", brief);
    schema::Arena arena;
    auto value = schema::parse_json(text, arena);
    ASSERT_TRUE(value) << text;
    EXPECT_EQ(value->get({"node", "nodeName"}).as_string(), "n1");
    EXPECT_EQ(value->get({"node", "memory", "workingSetBytes"}).as_int(), 400);
    EXPECT_EQ(value->get({"node", "fs"}).is_null(), brief);
    auto pods = schema::items(value->get({"pods"}));
    size_t count = 0;
    for (const auto& pod : pods) {
      ++count;
      EXPECT_EQ(pod.get({"podRef", "name"}).as_string(), "web");
      EXPECT_EQ(pod.get({"memory", "workingSetBytes"}).as_int(), 200);
      EXPECT_EQ(pod.get({"cpu", "usageNanoCores"}).as_int(), 10);
    }
    EXPECT_EQ(count, 1u);
  }
}

TEST(Stats, MetricsNameContainersAndEscapeImages) {
  std::string resource = resource_metrics(some());
  EXPECT_NE(resource.find("container_cpu_usage_seconds_total{container=\"a\",namespace=\"d\",pod=\"web\"} 1.5\n"),
            std::string::npos)
      << resource;
  EXPECT_NE(resource.find("pod_memory_working_set_bytes{namespace=\"d\",pod=\"web\"} 200\n"), std::string::npos);
  EXPECT_NE(cadvisor_metrics(some()).find("image=\"evil\\\"image\""), std::string::npos);
}
