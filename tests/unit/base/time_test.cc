#include "base/time.h"

#include <gtest/gtest.h>

using namespace redoubt;
using namespace std::chrono_literals;

TEST(Time, FormatsAsUpstreamDoes) {
  auto time = *parse_rfc3339("2026-01-02T03:04:05.678901234Z");
  EXPECT_EQ(format_rfc3339(time), "2026-01-02T03:04:05Z");
  EXPECT_EQ(format_rfc3339_micro(time), "2026-01-02T03:04:05.678901Z");
}

TEST(Time, AppliesOffsets) {
  EXPECT_EQ(format_rfc3339(*parse_rfc3339("2026-01-01T00:30:00+01:00")), "2025-12-31T23:30:00Z");
  EXPECT_EQ(format_rfc3339(*parse_rfc3339("2026-01-01T00:30:00-05:30")), "2026-01-01T06:00:00Z");
}

TEST(Time, RefusesWhatIsNoTime) {
  for (const char* text :
       {"", "2026-01-02", "2026-13-02T03:04:05Z", "2026-02-30T03:04:05Z", "2026-01-02T24:04:05Z", "2026-01-02T03:04:05",
        "2026-01-02T03:04:05Zx", "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05+0100"}) {
    EXPECT_FALSE(parse_rfc3339(text)) << text;
  }
}

TEST(Duration, ReadsGoText) {
  EXPECT_EQ(parse_go_duration("1h2m3.5s"), 1h + 2min + 3500ms);
  EXPECT_EQ(parse_go_duration("-300ms"), -300ms);
  EXPECT_EQ(parse_go_duration("0"), 0ns);
  EXPECT_EQ(parse_go_duration("1.5\xC2\xB5s"), 1500ns);
  for (const char* text : {"", "1", "h", "1x", ".s", "1h-2m", "99999999999h"})
    EXPECT_FALSE(parse_go_duration(text)) << text;
}

TEST(Duration, WritesGoText) {
  EXPECT_EQ(format_go_duration(0ns), "0s");
  EXPECT_EQ(format_go_duration(1h + 2min + 3500ms), "1h2m3.5s");
  EXPECT_EQ(format_go_duration(1h), "1h0m0s");
  EXPECT_EQ(format_go_duration(1500us), "1.5ms");
  EXPECT_EQ(format_go_duration(-90s), "-1m30s");
}
