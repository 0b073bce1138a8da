#include "base/time.h"

#include <fmt/format.h>

#include <cctype>
#include <cstdint>

namespace redoubt {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::microseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

std::string format_to_seconds(Timestamp time) {
  auto day = floor<days>(time);
  std::chrono::year_month_day date(day);
  std::chrono::hh_mm_ss clock(floor<seconds>(time - day));
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count());
}

// Reads exactly `digits` decimal digits at `at`, and moves past them.
std::optional<int> read_digits(std::string_view text, size_t& at, size_t digits) {
  if (at + digits > text.size()) return std::nullopt;
  int value = 0;
  for (size_t i = 0; i < digits; ++i) {
    char c = text[at + i];
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  at += digits;
  return value;
}

bool read_char(std::string_view text, size_t& at, char wanted) {
  if (at >= text.size() || text[at] != wanted) return false;
  ++at;
  return true;
}

}  // namespace

Timestamp now() {
  return floor<microseconds>(std::chrono::system_clock::now());
}

std::string format_rfc3339(Timestamp time) {
  return format_to_seconds(time) + "Z";
}

std::string format_rfc3339_micro(Timestamp time) {
  auto fraction = (time - floor<seconds>(time)).count();
  return fmt::format("{}.{:06}Z", format_to_seconds(time), fraction);
}

std::optional<Timestamp> parse_rfc3339(std::string_view text) {
  size_t at = 0;
  auto year = read_digits(text, at, 4);
  if (!year || !read_char(text, at, '-')) return std::nullopt;
  auto month = read_digits(text, at, 2);
  if (!month || !read_char(text, at, '-')) return std::nullopt;
  auto day = read_digits(text, at, 2);
  if (!day || !(read_char(text, at, 'T') || read_char(text, at, 't'))) return std::nullopt;
  auto hour = read_digits(text, at, 2);
  if (!hour || !read_char(text, at, ':')) return std::nullopt;
  auto minute = read_digits(text, at, 2);
  if (!minute || !read_char(text, at, ':')) return std::nullopt;
  auto second = read_digits(text, at, 2);
  if (!second) return std::nullopt;

  int64_t micros = 0;
  if (read_char(text, at, '.')) {
    size_t start = at;
    int64_t scale = 100'000;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
      micros += scale * (text[at] - '0');
      scale /= 10;
      ++at;
    }
    if (at == start) return std::nullopt;
  }
  seconds offset{0};
  if (read_char(text, at, 'Z') || read_char(text, at, 'z')) {
  } else {
    bool minus = at < text.size() && text[at] == '-';
    if (!minus && (at >= text.size() || text[at] != '+')) return std::nullopt;
    ++at;
    auto offset_hour = read_digits(text, at, 2);
    if (!offset_hour || !read_char(text, at, ':')) return std::nullopt;
    auto offset_minute = read_digits(text, at, 2);
    if (!offset_minute || *offset_hour > 23 || *offset_minute > 59) return std::nullopt;
    offset = std::chrono::hours(*offset_hour) + std::chrono::minutes(*offset_minute);
    if (minus) offset = -offset;
  }
  if (at != text.size()) return std::nullopt;

  std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                   std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  return Timestamp(std::chrono::sys_days(date)) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         seconds(*second) + microseconds(micros) - offset;
}

std::optional<nanoseconds> parse_go_duration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  bool minus = text[0] == '-';
  if (text[0] == '-' || text[0] == '+') text.remove_prefix(1);
  if (text == "0") return nanoseconds(0);
  if (text.empty()) return std::nullopt;
  constexpr long double kLimit = 9.2e18L;
  long double total = 0;
  while (!text.empty()) {
    long double value = 0;
    size_t digits = 0;
    while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
      value = value * 10 + (text[0] - '0');
      text.remove_prefix(1);
      ++digits;
    }
    if (!text.empty() && text[0] == '.') {
      text.remove_prefix(1);
      long double scale = 0.1L;
      while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
        value += scale * (text[0] - '0');
        scale /= 10;
        text.remove_prefix(1);
        ++digits;
      }
    }
    if (digits == 0) return std::nullopt;
    struct Unit {
      std::string_view name;
      long double nanos;
    };
    static constexpr Unit kUnits[] = {{"ns", 1},   {"us", 1e3}, {"\xC2\xB5s", 1e3}, {"\xCE\xBCs", 1e3},
                                      {"ms", 1e6}, {"s", 1e9},  {"m", 60e9},        {"h", 3600e9}};
    bool known = false;
    for (const Unit& unit : kUnits) {
      if (!text.starts_with(unit.name)) continue;
      total += value * unit.nanos;
      text.remove_prefix(unit.name.size());
      known = true;
      break;
    }
    if (!known || total > kLimit) return std::nullopt;
  }
  auto count = static_cast<int64_t>(total + 0.5L);
  return nanoseconds(minus ? -count : count);
}

std::string format_go_duration(nanoseconds duration) {
  int64_t count = duration.count();
  if (count == 0) return "0s";
  std::string sign = count < 0 ? "-" : "";
  uint64_t nanos = count < 0 ? 0 - static_cast<uint64_t>(count) : static_cast<uint64_t>(count);
  auto trimmed = [](uint64_t whole, uint64_t fraction, int digits) {
    std::string text = std::to_string(whole);
    if (fraction == 0) return text;
    std::string tail = fmt::format("{:0{}}", fraction, digits);
    while (tail.back() == '0') tail.pop_back();
    return text + "." + tail;
  };
  if (nanos < 1'000) return fmt::format("{}{}ns", sign, nanos);
  if (nanos < 1'000'000) return sign + trimmed(nanos / 1'000, nanos % 1'000, 3) + "\xC2\xB5s";
  if (nanos < 1'000'000'000) return sign + trimmed(nanos / 1'000'000, nanos % 1'000'000, 6) + "ms";
  uint64_t whole_seconds = nanos / 1'000'000'000;
  std::string out = sign;
  if (whole_seconds >= 3600) out += fmt::format("{}h", whole_seconds / 3600);
  if (whole_seconds >= 60) out += fmt::format("{}m", whole_seconds / 60 % 60);
  return out + trimmed(whole_seconds % 60, nanos % 1'000'000'000, 9) + "s";
}

}  // namespace redoubt
