#include "client/trim.h"

#include <gtest/gtest.h>

#include "schema/codec.h"

namespace redoubt::client {
namespace {

TEST(TrimPod, DropsWhatOnlyTheNodeReadsAndKeepsTheRest) {
  schema::Arena arena;
  auto pod = schema::parse_json(
      R"({"metadata":{"name":"a","managedFields":[{"manager":"m"}]},"spec":{"nodeName":"n","volumes":[{"name":"v"}],)"
      R"("containers":[{"name":"c","image":"i","env":[{"name":"A"}],"ports":[{"containerPort":80}],"resources":{"requests":{"cpu":"1"}},)"
      R"("volumeMounts":[{"name":"v"}],"readinessProbe":{}}],"initContainers":[{"name":"d","command":["x"]}]},"status":{"phase":"Running"}})",
      arena);
  ASSERT_TRUE(pod);
  trim_pod(*pod);
  EXPECT_EQ(
      schema::to_json(*pod, nullptr),
      R"({"metadata":{"name":"a"},"spec":{"nodeName":"n","volumes":[{"name":"v"}],)"
      R"("containers":[{"name":"c","image":"i","ports":[{"containerPort":80}],"resources":{"requests":{"cpu":"1"}}}],)"
      R"("initContainers":[{"name":"d"}]},"status":{"phase":"Running"}})");
}

TEST(TrimPod, LeavesAPodWithoutSpecAlone) {
  schema::Arena arena;
  auto pod = schema::parse_json(R"({"metadata":{"name":"a"}})", arena);
  ASSERT_TRUE(pod);
  trim_pod(*pod);
  EXPECT_EQ(schema::to_json(*pod, nullptr), R"({"metadata":{"name":"a"}})");
}

}  // namespace
}  // namespace redoubt::client
