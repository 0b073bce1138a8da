#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>

#include "controllers/cron_job/schedule.h"

namespace redoubt::controllers {

namespace {

constexpr size_t kMaxZoneBytes = 256 * 1024;

int64_t big_endian(std::string_view bytes, size_t at, size_t count) {
  uint64_t out = bytes[at] < 0 && count == 8 ? ~0ULL : 0;
  for (size_t i = 0; i < count; ++i) out = out << 8 | static_cast<unsigned char>(bytes[at + i]);
  return count == 4 ? static_cast<int32_t>(out) : static_cast<int64_t>(out);
}

// A cursor over a POSIX TZ string: "CET-1CEST,M3.5.0,M10.5.0/3".
struct Cursor {
  std::string_view text;
  bool ok = true;
  bool eat(char c) {
    if (text.empty() || text.front() != c) return false;
    text.remove_prefix(1);
    return true;
  }
  void name() {
    size_t before = text.size();
    if (eat('<')) {
      while (!text.empty() && text.front() != '>') text.remove_prefix(1);
      ok = ok && eat('>');
    } else {
      while (!text.empty() && std::isalpha(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
    }
    ok = ok && text.size() < before;
  }
  int number() {
    int out = 0;
    bool any = false;
    while (!text.empty() && std::isdigit(static_cast<unsigned char>(text.front())) && out < 100'000) {
      out = out * 10 + (text.front() - '0');
      text.remove_prefix(1);
      any = true;
    }
    ok = ok && any;
    return out;
  }
  // [+-]hh[:mm[:ss]] in seconds
  int64_t clock() {
    bool minus = eat('-');
    if (!minus) eat('+');
    int64_t out = int64_t{3600} * number();
    if (eat(':')) out += 60 * number();
    if (eat(':')) out += number();
    return minus ? -out : out;
  }
};

}  // namespace

std::optional<TimeZone::Footer> TimeZone::parse_footer(std::string_view text) {
  Cursor c{text};
  Footer out;
  c.name();
  out.standard = -c.clock();
  if (!c.ok) return std::nullopt;
  if (c.text.empty()) return out;
  c.name();
  out.summer = out.standard + 3600;
  if (!c.text.empty() && c.text.front() != ',') out.summer = -c.clock();
  for (std::optional<Rule>* rule : {&out.begins, &out.ends}) {
    if (!c.eat(',')) return std::nullopt;
    Rule r;
    if (c.eat('M')) {
      r.month = c.number();
      c.ok = c.ok && c.eat('.');
      r.week = c.number();
      c.ok = c.ok && c.eat('.');
      r.weekday = c.number();
      if (r.month < 1 || r.month > 12 || r.week < 1 || r.week > 5 || r.weekday > 6) return std::nullopt;
    } else {
      r.leap_counts = !c.eat('J');
      r.julian = c.number();
    }
    if (c.eat('/')) r.seconds = c.clock();
    *rule = r;
  }
  if (!c.ok) return std::nullopt;
  return out;
}

int64_t TimeZone::footer_offset(int64_t at) const {
  using namespace std::chrono;
  const Footer& f = *footer_;
  if (!f.begins || !f.ends) return f.standard;
  auto date = year_month_day(floor<days>(sys_seconds(seconds(at + f.standard))));
  auto moment = [&](const Rule& r, int64_t offset) {
    sys_days day;
    if (r.julian >= 0) {
      int after = r.julian;
      if (!r.leap_counts) after = r.julian - 1 + (date.year().is_leap() && r.julian >= 60 ? 1 : 0);
      day = sys_days(date.year() / January / 1) + days(after);
    } else {
      auto weekday_of = weekday(static_cast<unsigned>(r.weekday));
      auto month_of = date.year() / month(static_cast<unsigned>(r.month));
      day = r.week == 5 ? sys_days(month_of / weekday_of[last])
                        : sys_days(month_of / weekday_of[static_cast<unsigned>(r.week)]);
    }
    return day.time_since_epoch().count() * int64_t{86400} + r.seconds - offset;
  };
  int64_t begins = moment(*f.begins, f.standard), ends = moment(*f.ends, f.summer);
  // In the south, summer lasts over the new year.
  bool summer = begins < ends ? at >= begins && at < ends : !(at >= ends && at < begins);
  return summer ? f.summer : f.standard;
}

Result<TimeZone> TimeZone::parse(std::string_view bytes) {
  auto broken = [] { return bad_request("not a time zone file"); };
  if (bytes.size() < 44 || bytes.substr(0, 4) != "TZif") return broken();
  struct Counts {
    size_t utc, standard, leap, times, types, chars;
  };
  auto counts_at = [&](size_t at) {
    auto n = [&](size_t i) {
      return static_cast<size_t>(static_cast<uint32_t>(big_endian(bytes, at + 20 + 4 * i, 4)));
    };
    return Counts{n(0), n(1), n(2), n(3), n(4), n(5)};
  };
  auto body_size = [](const Counts& c, size_t width) {
    return c.times * width + c.times + c.types * 6 + c.chars + c.leap * (width + 4) + c.standard + c.utc;
  };
  size_t at = 0, width = 4;
  Counts c = counts_at(0);
  for (size_t n : {c.utc, c.standard, c.leap, c.times, c.types, c.chars}) {
    if (n > kMaxZoneBytes) return broken();
  }
  if (bytes[4] >= '2') {
    // The second block has 64-bit times; the first is for readers of old.
    at = 44 + body_size(c, 4);
    width = 8;
    if (at + 44 > bytes.size() || bytes.substr(at, 4) != "TZif") return broken();
    c = counts_at(at);
    for (size_t n : {c.utc, c.standard, c.leap, c.times, c.types, c.chars}) {
      if (n > kMaxZoneBytes) return broken();
    }
  }
  size_t body = at + 44;
  if (c.types == 0 || body + body_size(c, width) > bytes.size()) return broken();
  TimeZone out;
  std::vector<int32_t> types;
  size_t types_at = body + c.times * width + c.times;
  for (size_t i = 0; i < c.types; ++i) types.push_back(static_cast<int32_t>(big_endian(bytes, types_at + 6 * i, 4)));
  for (size_t i = 0; i < c.times; ++i) {
    auto type = static_cast<unsigned char>(bytes[body + c.times * width + i]);
    if (type >= types.size()) return broken();
    out.times_.push_back(big_endian(bytes, body + i * width, width));
    out.offsets_.push_back(types[type]);
  }
  out.first_ = types[0];
  if (width == 8) {
    std::string_view rest = bytes.substr(body + body_size(c, width));
    if (rest.starts_with('\n')) {
      rest.remove_prefix(1);
      out.footer_ = parse_footer(rest.substr(0, rest.find('\n')));
    }
  }
  return out;
}

Result<TimeZone> TimeZone::load(const std::string& name) {
  bool plain = !name.empty() && name.front() != '/' && name.find("..") == std::string::npos &&
               std::all_of(name.begin(), name.end(), [](unsigned char c) {
                 return std::isalnum(c) || c == '/' || c == '_' || c == '-' || c == '+';
               });
  if (name == "UTC" || name == "Etc/UTC") return utc();
  std::string bytes;
  if (plain && name != "Local") {
    std::ifstream file("/usr/share/zoneinfo/" + name, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  if (bytes.empty() || bytes.size() > kMaxZoneBytes) return bad_request("unknown time zone " + name);
  return parse(bytes);
}

std::chrono::seconds TimeZone::offset_at(Timestamp at) const {
  int64_t t = std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
  if (footer_ && (times_.empty() || t >= times_.back())) return std::chrono::seconds(footer_offset(t));
  auto it = std::upper_bound(times_.begin(), times_.end(), t);
  if (it == times_.begin()) return std::chrono::seconds(first_);
  return std::chrono::seconds(offsets_[static_cast<size_t>(it - times_.begin()) - 1]);
}

}  // namespace redoubt::controllers
