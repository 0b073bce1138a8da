// Cron schedules as CronJobs write them: five fields, names, steps, lists, "@daily" and "@every 1h30m"; in a time zone.
//
// Pure but for reading the zone's file. The grammar is upstream's (robfig/cron/v3, ParseStandard).
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"

namespace redoubt::controllers {

// A zone of the tz database: how far its clocks are from UTC at a moment.
class TimeZone {
 public:
  // "Etc/UTC", "Europe/Berlin"; NotFound for what the machine does not know. Reads a file: blocking, short.
  static Result<TimeZone> load(const std::string& name);
  // From the bytes of a TZif file (RFC 9636).
  static Result<TimeZone> parse(std::string_view bytes);
  static TimeZone utc() { return {}; }
  std::chrono::seconds offset_at(Timestamp at) const;

 private:
  struct Rule {  // one end of summer time: month, week, weekday, and the second of the day
    int month = 0, week = 0, weekday = 0, julian = -1;
    bool leap_counts = false;
    int64_t seconds = 7200;
  };
  struct Footer {
    int64_t standard = 0, summer = 0;
    std::optional<Rule> begins, ends;
  };
  static std::optional<Footer> parse_footer(std::string_view text);
  int64_t footer_offset(int64_t at) const;

  std::vector<int64_t> times_;
  std::vector<int32_t> offsets_;  // from times_[i] on
  int32_t first_ = 0;             // before times_[0]
  std::optional<Footer> footer_;  // after the last
};

class Schedule {
 public:
  // BadRequest says which field is wrong.
  static Result<Schedule> parse(std::string_view text);
  // The first time after `after`; nothing when there is none within five years.
  std::optional<Timestamp> next(Timestamp after, const TimeZone& zone) const;

 private:
  static Result<uint64_t> parse_field(std::string_view text, int least, int most, std::string_view names,
                                      bool& is_star);
  uint64_t minutes_ = 0, hours_ = 0, days_ = 0, months_ = 0, weekdays_ = 0;  // a bit a value
  bool any_day_ = false, any_weekday_ = false;
  std::chrono::seconds every_{0};
};

struct Due {
  std::optional<Timestamp> latest;  // the last time that has come since `since`
  int64_t missed = 0;               // how many times before it have passed unused
};
// What has come due in (since, at]. Counts at most a little over a hundred.
Due due_between(const Schedule& schedule, const TimeZone& zone, Timestamp since, Timestamp at);

}  // namespace redoubt::controllers
