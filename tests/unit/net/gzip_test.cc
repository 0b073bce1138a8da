#include "net/gzip.h"

#include <gtest/gtest.h>

namespace redoubt::net {
namespace {

TEST(Gzip, PacksPiecesAndUnpacksThemAsOne) {
  std::string long_piece(200'000, 'x');
  std::string packed = gzip({Bytes::copy("head "), Bytes::copy(long_piece), Bytes::copy(" tail")}, 6);
  EXPECT_LT(packed.size(), 2'000U);
  auto plain = gunzip(packed, 1 << 20);
  ASSERT_TRUE(plain);
  EXPECT_EQ(*plain, "head " + long_piece + " tail");
}

TEST(Gzip, RefusesWhatIsNoneIsCutOrIsTooLarge) {
  std::string packed = gzip({Bytes::copy(std::string(100'000, 'x'))}, 1);
  EXPECT_EQ(gunzip("plain text", 100).error().code(), 400);
  EXPECT_EQ(gunzip(std::string_view(packed).substr(0, packed.size() / 2), 1 << 20).error().code(), 400);
  EXPECT_EQ(gunzip(packed, 50'000).error().code(), 413);
}

}  // namespace
}  // namespace redoubt::net
