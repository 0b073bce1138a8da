#include "apiserver/allocation/port_range.h"

#include <gtest/gtest.h>

namespace redoubt::apiserver {
namespace {

TEST(PortRange, IsTwoPortsOrAPortAndHowManyMore) {
  auto range = PortRange::parse("30000-32767");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->size(), 2768);
  EXPECT_EQ(range->reserved(), 86);
  EXPECT_TRUE(range->holds(32767));
  EXPECT_FALSE(range->holds(32768));
  EXPECT_EQ(PortRange::parse("30000+9")->to_string(), "30000-30009");
  EXPECT_EQ(PortRange::parse("30000+9")->reserved(), 0);
  EXPECT_EQ(PortRange::parse("1-65535")->reserved(), 128);
}

TEST(PortRange, WhatIsNoneIsRefused) {
  for (const char* bad : {"", "30000", "30000-", "-5", "0-5", "5-4", "1-65536", "60000+9999", "a-b", "1-2-3"})
    EXPECT_FALSE(PortRange::parse(bad)) << bad;
}

}  // namespace
}  // namespace redoubt::apiserver
