#include <fmt/format.h>

#include <cmath>

#include "schema/scalars.h"

namespace redoubt::schema {
namespace {

constexpr __int128 kNano = 1'000'000'000;
// Far above any real amount, far below where 128 bits overflow in a sum.
constexpr __int128 kLimit = static_cast<__int128>(INT64_MAX) * kNano;

struct Suffix {
  std::string_view text;
  int binary_power;   // of 1024; 0: decimal
  int decimal_power;  // of 10
};
constexpr Suffix kSuffixes[] = {{"Ki", 1, 0}, {"Mi", 2, 0}, {"Gi", 3, 0}, {"Ti", 4, 0}, {"Pi", 5, 0}, {"Ei", 6, 0},
                                {"n", 0, -9}, {"u", 0, -6}, {"m", 0, -3}, {"", 0, 0},   {"k", 0, 3},  {"M", 0, 6},
                                {"G", 0, 9},  {"T", 0, 12}, {"P", 0, 15}, {"E", 0, 18}};

std::string int128_text(__int128 value) {
  if (value == 0) return "0";
  bool minus = value < 0;
  if (minus) value = -value;
  std::string out;
  for (; value > 0; value /= 10) out.insert(out.begin(), static_cast<char>('0' + static_cast<int>(value % 10)));
  return minus ? "-" + out : out;
}

// Up, away from zero, as upstream rounds.
int64_t divide_up(__int128 value, __int128 by) {
  __int128 out = value / by;
  if (value % by != 0) out += value > 0 ? 1 : -1;
  if (out > INT64_MAX) return INT64_MAX;
  if (out < INT64_MIN) return INT64_MIN;
  return static_cast<int64_t>(out);
}

__int128 clamp(__int128 value) {
  return value > kLimit ? kLimit : value < -kLimit ? -kLimit : value;
}

}  // namespace

std::optional<Quantity> Quantity::parse(std::string_view text) {
  if (text.empty() || text.size() > 64) return std::nullopt;
  bool minus = text[0] == '-';
  if (text[0] == '-' || text[0] == '+') text.remove_prefix(1);
  size_t digits_end = text.find_first_not_of("0123456789.");
  std::string_view number = text.substr(0, digits_end);
  std::string_view tail = digits_end == std::string_view::npos ? std::string_view() : text.substr(digits_end);
  size_t dot = number.find('.');
  std::string_view whole = number.substr(0, dot);
  std::string_view fraction = dot == std::string_view::npos ? std::string_view() : number.substr(dot + 1);
  if (fraction.find('.') != std::string_view::npos || (whole.empty() && fraction.empty())) return std::nullopt;

  Quantity out;
  out.format_ = Format::Decimal;
  int decimal = 0;
  int binary = 0;
  bool known = false;
  for (const Suffix& suffix : kSuffixes) {
    if (tail != suffix.text) continue;
    known = true;
    binary = suffix.binary_power;
    decimal = suffix.decimal_power;
    if (binary > 0) out.format_ = Format::Binary;
  }
  if (!known && (tail[0] == 'e' || tail[0] == 'E')) {
    std::string_view exponent = tail.substr(1);
    bool negative = !exponent.empty() && exponent[0] == '-';
    if (!exponent.empty() && (exponent[0] == '-' || exponent[0] == '+')) exponent.remove_prefix(1);
    if (exponent.empty() || exponent.size() > 3 || exponent.find_first_not_of("0123456789") != std::string_view::npos)
      return std::nullopt;
    for (char c : exponent) decimal = decimal * 10 + (c - '0');
    if (decimal > 60) decimal = 60;
    if (negative) decimal = -decimal;
    out.format_ = Format::Exponent;
    known = true;
  }
  if (!known) return std::nullopt;

  // Digits and the power of ten that they stand for, then nano units rounded up.
  __int128 mantissa = 0;
  int scale = decimal + 9;
  int kept = 0;
  bool lost = false;
  auto take = [&](char c, bool after_dot) {
    if (kept >= 30) {
      if (!after_dot) ++scale;
      lost = lost || c != '0';
      return;
    }
    mantissa = mantissa * 10 + (c - '0');
    if (mantissa != 0) ++kept;
    if (after_dot) --scale;
  };
  for (char c : whole) take(c, false);
  for (char c : fraction) take(c, true);
  for (int i = 0; i < binary; ++i) mantissa = mantissa > kLimit / 1024 ? kLimit : mantissa * 1024;
  for (; scale > 0; --scale) mantissa = mantissa > kLimit / 10 ? kLimit : mantissa * 10;
  for (; scale < 0; ++scale) {
    lost = lost || mantissa % 10 != 0;
    mantissa /= 10;
  }
  if (lost) ++mantissa;
  out.nanos_ = clamp(minus ? -mantissa : mantissa);
  return out;
}

Quantity Quantity::of(int64_t whole) {
  Quantity out;
  out.nanos_ = whole * kNano;
  out.format_ = Format::Decimal;
  return out;
}

Quantity Quantity::of_milli(int64_t milli) {
  Quantity out;
  out.nanos_ = static_cast<__int128>(milli) * 1'000'000;
  out.format_ = Format::Decimal;
  return out;
}

Quantity Quantity::of_bytes(int64_t bytes) {
  Quantity out = of(bytes);
  out.format_ = Format::Binary;
  return out;
}

int64_t Quantity::value() const {
  return divide_up(nanos_, kNano);
}
int64_t Quantity::milli_value() const {
  return divide_up(nanos_, kNano / 1000);
}
double Quantity::as_double() const {
  return static_cast<double>(nanos_) / 1e9;
}

Quantity Quantity::operator+(const Quantity& other) const {
  Quantity out = *this;
  if (empty() || is_zero()) out.format_ = other.format_ == Format::None ? format_ : other.format_;
  out.nanos_ = clamp(nanos_ + other.nanos_);
  return out;
}

Quantity Quantity::operator-(const Quantity& other) const {
  Quantity out = *this;
  if (empty()) out.format_ = other.format_;
  out.nanos_ = clamp(nanos_ - other.nanos_);
  return out;
}

std::string Quantity::to_string() const {
  if (nanos_ == 0) return "0";
  __int128 size = nanos_ < 0 ? -nanos_ : nanos_;
  if (format_ == Format::Binary && size >= 1024 * kNano && nanos_ % kNano == 0) {
    static constexpr std::string_view kNames[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    __int128 whole = nanos_ / kNano;
    int power_index = 0;
    while (power_index < 6 && whole % 1024 == 0) {
      whole /= 1024;
      ++power_index;
    }
    return int128_text(whole) + std::string(kNames[power_index]);
  }
  static constexpr std::string_view kNames[] = {"n", "u", "m", "", "k", "M", "G", "T", "P", "E"};
  static constexpr std::string_view kExponents[] = {"e-9", "e-6", "e-3", "", "e3", "e6", "e9", "e12", "e15", "e18"};
  __int128 amount = nanos_;
  int step = 0;
  while (step < 9 && amount % 1000 == 0) {
    amount /= 1000;
    ++step;
  }
  return int128_text(amount) + std::string(format_ == Format::Exponent ? kExponents[step] : kNames[step]);
}

}  // namespace redoubt::schema
