#include "apiserver/auth/seen_addresses.h"

#include <gtest/gtest.h>

using namespace redoubt::apiserver;
using std::chrono::minutes;

TEST(SeenAddresses, AreThoseOfTheNodeAndNoOther) {
  SeenAddresses seen;
  seen.saw("a", "10.0.0.1");
  seen.saw("b", "10.0.0.2");
  EXPECT_EQ(seen.of("a"), std::vector<std::string>{"10.0.0.1"});
  EXPECT_TRUE(seen.of("c").empty());
}

TEST(SeenAddresses, AreForgottenAnHourAfterTheyWereLastUsed) {
  SeenAddresses seen;
  auto start = std::chrono::steady_clock::now();
  seen.saw("a", "10.0.0.1", start);
  seen.saw("a", "10.0.0.2", start + minutes(30));
  EXPECT_EQ(seen.of("a", start + minutes(40)), (std::vector<std::string>{"10.0.0.2", "10.0.0.1"}));
  EXPECT_EQ(seen.of("a", start + minutes(61)), std::vector<std::string>{"10.0.0.2"});
  seen.saw("a", "10.0.0.1", start + minutes(62));
  EXPECT_EQ(seen.of("a", start + minutes(63)), (std::vector<std::string>{"10.0.0.1", "10.0.0.2"}));
}

TEST(SeenAddresses, OfIpv4PeersOnASocketForBothFamiliesAreIpv4) {
  SeenAddresses seen;
  seen.saw("a", "::ffff:10.0.0.1");
  EXPECT_EQ(seen.of("a"), std::vector<std::string>{"10.0.0.1"});
}

TEST(SeenAddresses, AreBoundedTheOldestGoesFirst) {
  SeenAddresses seen;
  auto start = std::chrono::steady_clock::now();
  for (size_t i = 0; i <= SeenAddresses::kPerNode; ++i)
    seen.saw("a", "10.0.0." + std::to_string(i), start + std::chrono::seconds(i));
  auto there = seen.of("a", start + minutes(1));
  EXPECT_EQ(there.size(), SeenAddresses::kPerNode);
  EXPECT_EQ(there.back(), "10.0.0.1");
}
