#include "controllers/cron_job/schedule.h"

#include <gtest/gtest.h>

namespace redoubt::controllers {
namespace {

Timestamp at(const char* text) {
  return *parse_rfc3339(text);
}

std::string next(const char* schedule, const char* after, const TimeZone& zone = TimeZone::utc()) {
  auto parsed = Schedule::parse(schedule);
  if (!parsed) return parsed.error().message();
  auto found = parsed->next(at(after), zone);
  return found ? format_rfc3339(*found) : "never";
}

TEST(Schedule, FindsTheNextTime) {
  struct Case {
    const char *schedule, *after, *next;
  };
  for (const Case& c : {
           Case{"*/5 * * * *", "2026-01-01T00:01:00Z", "2026-01-01T00:05:00Z"},
           Case{"0 0 * * *", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"},
           Case{"30 4 1,15 * *", "2026-01-02T00:00:00Z", "2026-01-15T04:30:00Z"},
           Case{"0 12 * * MON-FRI", "2026-01-02T12:00:00Z", "2026-01-05T12:00:00Z"},
           Case{"0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"},
           Case{"0 0 13 * 5", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"},  // the 13th or a Friday
           Case{"0 0 31 2 *", "2026-01-01T00:00:00Z", "never"},
           Case{"@hourly", "2026-01-01T00:59:59Z", "2026-01-01T01:00:00Z"},
           Case{"@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"},
           Case{"@every 90s", "2026-01-01T00:00:00Z", "2026-01-01T00:01:30Z"},
           Case{"10/20 8-9 * jan ?", "2026-01-01T08:31:00Z", "2026-01-01T08:50:00Z"},
       }) {
    EXPECT_EQ(next(c.schedule, c.after), c.next) << c.schedule;
  }
}

TEST(Schedule, RefusesWhatIsNone) {
  for (const char* text :
       {"", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "5-1 * * * *",
        "a * * * *", "@sometimes", "@every soon", "1, * * * *", "- * * * *"}) {
    EXPECT_FALSE(Schedule::parse(text)) << text;
  }
}

TEST(Schedule, FollowsATimeZoneOverItsChanges) {
  auto berlin = TimeZone::load("Europe/Berlin");
  if (!berlin) GTEST_SKIP() << "no tz database here";
  EXPECT_EQ(next("0 8 * * *", "2026-01-10T00:00:00Z", *berlin), "2026-01-10T07:00:00Z");
  EXPECT_EQ(next("0 8 * * *", "2026-07-10T00:00:00Z", *berlin), "2026-07-10T06:00:00Z");
  // 02:30 does not exist on the last Sunday of March, and comes twice on that of October.
  EXPECT_EQ(next("30 2 * * *", "2026-03-28T12:00:00Z", *berlin), "2026-03-30T00:30:00Z");
  EXPECT_EQ(next("30 2 * * *", "2026-10-24T12:00:00Z", *berlin), "2026-10-25T00:30:00Z");
  EXPECT_EQ(next("30 2 * * *", "2026-10-25T00:30:00Z", *berlin), "2026-10-26T01:30:00Z");
  EXPECT_EQ(next("30 * * * *", "2026-10-25T00:30:00Z", *berlin), "2026-10-25T01:30:00Z");
  auto sydney = TimeZone::load("Australia/Sydney");
  if (!sydney) GTEST_SKIP();
  EXPECT_EQ(sydney->offset_at(at("2026-01-10T00:00:00Z")), std::chrono::hours(11));
  EXPECT_EQ(sydney->offset_at(at("2026-07-10T00:00:00Z")), std::chrono::hours(10));
}

TEST(Schedule, KnowsNoZonesThatAreNone) {
  for (const char* name : {"", "Nowhere/Here", "../etc/passwd", "/etc/localtime", "Local"})
    EXPECT_FALSE(TimeZone::load(name)) << name;
  EXPECT_FALSE(TimeZone::parse("TZif"));
  EXPECT_FALSE(TimeZone::parse(std::string("TZif2") + std::string(39, '\xff')));
}

TEST(Schedule, OfManyMissedTimesTheLastCounts) {
  Schedule every_minute = *Schedule::parse("* * * * *");
  auto none = due_between(every_minute, TimeZone::utc(), at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:59Z"));
  EXPECT_FALSE(none.latest);
  auto one = due_between(every_minute, TimeZone::utc(), at("2026-01-01T00:00:00Z"), at("2026-01-01T00:01:01Z"));
  EXPECT_EQ(format_rfc3339(*one.latest), "2026-01-01T00:01:00Z");
  EXPECT_EQ(one.missed, 0);
  auto many = due_between(every_minute, TimeZone::utc(), at("2025-01-01T00:00:00Z"), at("2026-01-01T00:00:30Z"));
  EXPECT_EQ(format_rfc3339(*many.latest), "2026-01-01T00:00:00Z");
  EXPECT_GT(many.missed, 100);
}

}  // namespace
}  // namespace redoubt::controllers
