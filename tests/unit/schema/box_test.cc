#include <gtest/gtest.h>

#include "schema/scalars.h"

namespace redoubt::schema {
namespace {

TEST(Box, IsUsedLikeAnOptional) {
  Box<std::string> box;
  EXPECT_FALSE(box.has_value());
  EXPECT_EQ(box.value_or("other"), "other");
  box = std::string("a");
  ASSERT_TRUE(box);
  EXPECT_EQ(*box, "a");
  EXPECT_EQ(box.value_or("other"), "a");
  box = std::nullopt;
  EXPECT_FALSE(box);
  box.emplace() = "b";
  box.reset();
  EXPECT_FALSE(box);
}

TEST(Box, CopiesDeeply) {
  Box<std::string> one = std::string("a");
  Box<std::string> two = one;
  *two = "b";
  EXPECT_EQ(*one, "a");
  one = two;
  EXPECT_EQ(*one, "b");
}

}  // namespace
}  // namespace redoubt::schema
