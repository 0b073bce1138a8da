#include "base/log_allowance.h"

#include <gtest/gtest.h>

namespace redoubt {

TEST(LogAllowance, LetsABurstThroughThenAFewASecondAndCountsTheRest) {
  using namespace std::chrono_literals;
  LogAllowance allowance(2, 1);
  auto start = LogAllowance::Clock::now();
  EXPECT_EQ(allowance.take(start), 0u);
  EXPECT_EQ(allowance.take(start), 0u);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(allowance.take(start), std::nullopt);
  EXPECT_EQ(allowance.take(start + 1100ms), 5u);
  EXPECT_EQ(allowance.take(start + 1200ms), std::nullopt);
  // A long quiet time gives no more than the burst.
  EXPECT_EQ(allowance.take(start + 1h), 1u);
  EXPECT_EQ(allowance.take(start + 1h), 0u);
  EXPECT_EQ(allowance.take(start + 1h), std::nullopt);
}

}  // namespace redoubt
