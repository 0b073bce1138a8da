#include "schema/resource.h"

#include <gtest/gtest.h>

using namespace redoubt::schema;

TEST(Resources, AllHaveATypeAndAreFound) {
  EXPECT_GT(builtin_resources().size(), 60u);
  for (const Resource& r : builtin_resources()) {
    EXPECT_NE(r.type, nullptr) << r.group << "/" << r.name;
    EXPECT_EQ(find_resource(r.group, r.version, r.name), &r);
    EXPECT_EQ(find_resource_by_kind(r.group, r.version, r.kind), &r);
  }
  EXPECT_EQ(find_resource("", "v1", "pods")->short_names[0], "po");
  EXPECT_EQ(find_resource("", "v1", "nothing"), nullptr);
}
