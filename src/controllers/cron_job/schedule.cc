#include "controllers/cron_job/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace redoubt::controllers {

namespace {

constexpr int kYearsAhead = 5;
constexpr uint64_t kEveryHour = (1ULL << 24) - 1;
constexpr int64_t kMaxSteps = 10'000;  // of an uneven schedule, from where the usual distance led
constexpr int64_t kCounted = 100;      // missed times; beyond, upstream speaks of too many
constexpr std::string_view kMonths = "janfebmaraprmayjunjulaugsepoctnovdec";
constexpr std::string_view kWeekdays = "sunmontuewedthufrisat";

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

std::optional<int> value_of(std::string_view text, int least, std::string_view names) {
  int out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error == std::errc() && end == text.data() + text.size() && text.front() != '-') return out;
  if (text.size() != 3 || names.empty()) return std::nullopt;
  std::string name = lower(text);
  for (size_t i = 0; i + 3 <= names.size(); i += 3) {
    if (names.substr(i, 3) == name) return least + static_cast<int>(i / 3);
  }
  return std::nullopt;
}

}  // namespace

Result<uint64_t> Schedule::parse_field(std::string_view text, int least, int most, std::string_view names,
                                       bool& is_star) {
  uint64_t out = 0;
  std::string_view rest = text;
  auto wrong = [&](std::string_view why) { return bad_request(fmt::format("{}: {}", why, text)); };
  while (true) {
    size_t comma = rest.find(',');
    std::string_view item = rest.substr(0, comma);
    size_t slash = item.find('/');
    std::string_view range = item.substr(0, slash);
    int from = least, to = most, step = 1;
    if (range == "*" || range == "?") {
      is_star = true;
    } else {
      size_t dash = range.find('-');
      auto first = range.empty() ? std::nullopt : value_of(range.substr(0, dash), least, names);
      if (!first) return wrong("failed to parse field");
      from = to = *first;
      if (dash != std::string_view::npos) {
        auto last = range.size() > dash + 1 ? value_of(range.substr(dash + 1), least, names) : std::nullopt;
        if (!last) return wrong("failed to parse field");
        to = *last;
      } else if (slash != std::string_view::npos) {
        to = most;  // "5/10" begins at five
      }
    }
    if (slash != std::string_view::npos) {
      auto by = item.size() > slash + 1 ? value_of(item.substr(slash + 1), 0, "") : std::nullopt;
      if (!by || *by == 0) return wrong("step of range should be a positive number");
      step = *by;
      if (step > 1) is_star = false;
    }
    if (from < least) return wrong(fmt::format("beginning of range ({}) below minimum ({})", from, least));
    if (to > most) return wrong(fmt::format("end of range ({}) above maximum ({})", to, most));
    if (from > to) return wrong(fmt::format("beginning of range ({}) beyond end of range ({})", from, to));
    for (int i = from; i <= to; i += step) out |= 1ULL << i;
    if (comma == std::string_view::npos) return out;
    rest = rest.substr(comma + 1);
  }
}

Result<Schedule> Schedule::parse(std::string_view text) {
  auto trim = [](std::string_view t) {
    while (!t.empty() && t.front() == ' ') t.remove_prefix(1);
    while (!t.empty() && t.back() == ' ') t.remove_suffix(1);
    return t;
  };
  text = trim(text);
  Schedule out;
  if (text.starts_with('@')) {
    if (text.starts_with("@every ")) {
      auto every = parse_go_duration(trim(text.substr(7)));
      if (!every) return bad_request(fmt::format("failed to parse duration {}", text));
      out.every_ = std::max(std::chrono::duration_cast<std::chrono::seconds>(*every), std::chrono::seconds(1));
      return out;
    }
    if (text == "@yearly" || text == "@annually") return parse("0 0 1 1 *");
    if (text == "@monthly") return parse("0 0 1 * *");
    if (text == "@weekly") return parse("0 0 * * 0");
    if (text == "@daily" || text == "@midnight") return parse("0 0 * * *");
    if (text == "@hourly") return parse("0 * * * *");
    return bad_request(fmt::format("unrecognized descriptor: {}", text));
  }
  std::vector<std::string_view> fields;
  while (!text.empty()) {
    size_t space = text.find_first_of(" \t");
    if (space != 0) fields.push_back(text.substr(0, space));
    text = space == std::string_view::npos ? std::string_view() : text.substr(space + 1);
  }
  if (fields.size() != 5) return bad_request(fmt::format("expected exactly 5 fields, found {}", fields.size()));
  bool ignored = false;
  RD_TRY(out.minutes_, parse_field(fields[0], 0, 59, "", ignored));
  RD_TRY(out.hours_, parse_field(fields[1], 0, 23, "", ignored));
  RD_TRY(out.days_, parse_field(fields[2], 1, 31, "", out.any_day_));
  RD_TRY(out.months_, parse_field(fields[3], 1, 12, kMonths, ignored));
  RD_TRY(out.weekdays_, parse_field(fields[4], 0, 6, kWeekdays, out.any_weekday_));
  return out;
}

std::optional<Timestamp> Schedule::next(Timestamp after, const TimeZone& zone) const {
  using namespace std::chrono;
  if (every_.count() > 0) return floor<seconds>(after) + every_;
  auto has = [](uint64_t set, unsigned value) { return (set >> value & 1) != 0; };
  sys_days first = floor<days>(after + zone.offset_at(after));
  for (sys_days day = first; day < first + days(366 * kYearsAhead); day += days(1)) {
    year_month_day date(day);
    if (!has(months_, static_cast<unsigned>(date.month()))) continue;
    bool by_day = has(days_, static_cast<unsigned>(date.day())), by_weekday = has(weekdays_, weekday(day).c_encoding());
    // Where both are restricted, either will do.
    if (any_day_ || any_weekday_ ? !(by_day && by_weekday) : !(by_day || by_weekday)) continue;
    std::optional<Timestamp> best;
    for (unsigned hour = 0; hour < 24; ++hour) {
      if (!has(hours_, hour)) continue;
      for (unsigned minute = 0; minute < 60; ++minute) {
        if (!has(minutes_, minute)) continue;
        Timestamp local = day + hours(hour) + minutes(minute);
        // The clocks may go forward over this time: then it is left out. Or back over it: then it comes twice, and the
        // first time counts, unless the schedule means every hour.
        for (seconds guess : {zone.offset_at(local - hours(14)), zone.offset_at(local + hours(14))}) {
          Timestamp at = local - guess;
          if (zone.offset_at(at) != guess) continue;
          if (at > after) {
            if (!best || at < *best) best = at;
            break;
          }
          if (hours_ != kEveryHour) break;
        }
      }
      if (best) return best;
    }
  }
  return std::nullopt;
}

Due due_between(const Schedule& schedule, const TimeZone& zone, Timestamp since, Timestamp at) {
  Due out;
  auto first = schedule.next(since, zone);
  if (!first || *first > at) return out;
  auto second = schedule.next(*first, zone);
  out.latest = first;
  if (!second || *second > at) return out;
  // A long time may have passed: come near by the usual distance instead of step by step.
  auto distance = *second - *first;
  int64_t skipped = std::max<int64_t>((at - *first) / distance - 3, 0);
  Timestamp from = *first;
  if (skipped > kCounted) {
    auto near = schedule.next(*first + distance * (skipped - 1), zone);
    if (near && *near <= at) {
      from = *near;
      out.latest = near;
      out.missed = skipped;
    }
  }
  int64_t steps = 0;
  for (auto t = schedule.next(from, zone); t && *t <= at; t = schedule.next(*t, zone)) {
    out.latest = t;
    ++out.missed;
    if (++steps > kMaxSteps) break;
  }
  return out;
}

}  // namespace redoubt::controllers
