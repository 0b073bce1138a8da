#include <charconv>
#include <cmath>
#include <string>

#include "schema/yaml.h"

namespace redoubt::schema {
namespace {

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  for (std::string_view word : words) {
    if (text == word) return true;
  }
  return false;
}

// Go's strconv.ParseInt with base 0: a sign, 0x, 0o, 0b, or a leading 0 for octal.
bool parse_integer(std::string_view text, Value& out) {
  bool minus = text.starts_with('-');
  if (minus || text.starts_with('+')) text.remove_prefix(1);
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    char mark = static_cast<char>(text[1] | 0x20);
    base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
    text.remove_prefix(mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1);
  }
  if (text.empty() || text[0] == '-' || text[0] == '+') return false;
  uint64_t magnitude = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), magnitude, base);
  if (ec != std::errc() || end != text.data() + text.size()) return false;
  constexpr uint64_t kTop = uint64_t{1} << 63;
  if (minus ? magnitude > kTop : magnitude >= kTop) {
    out = Value::number(minus ? -static_cast<double>(magnitude) : static_cast<double>(magnitude));
  } else {
    out = Value::integer(static_cast<int64_t>(minus ? 0 - magnitude : magnitude));
  }
  return true;
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool looks_like_float(std::string_view text) {
  size_t i = 0;
  auto digits = [&] {
    size_t from = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    return i - from;
  };
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
  size_t whole = digits(), fraction = 0;
  if (i < text.size() && text[i] == '.') {
    ++i;
    fraction = digits();
  }
  if (whole + fraction == 0) return false;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
    if (digits() == 0) return false;
  }
  return i == text.size();
}

}  // namespace

YamlScalar resolve_yaml_scalar(std::string_view text) {
  YamlScalar out;
  if (text.empty() || is_one_of(text, {"~", "null", "Null", "NULL"})) return out;
  if (is_one_of(text, {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})) {
    out.value = Value::boolean(true);
    return out;
  }
  if (is_one_of(text, {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})) {
    out.value = Value::boolean(false);
    return out;
  }
  std::string_view unsigned_text = text[0] == '-' || text[0] == '+' ? text.substr(1) : text;
  if (is_one_of(unsigned_text, {".inf", ".Inf", ".INF"}) || is_one_of(text, {".nan", ".NaN", ".NAN"})) {
    out.not_finite = true;
    return out;
  }
  bool may_be_number = text[0] == '-' || text[0] == '+' || text[0] == '.' || (text[0] >= '0' && text[0] <= '9');
  if (!may_be_number) {
    out.is_string = true;
    return out;
  }
  std::string plain;  // 1_000 is a number too
  for (char c : text) {
    if (c != '_') plain += c;
  }
  if (parse_integer(plain, out.value)) return out;
  if (looks_like_float(plain)) {
    double number = 0;
    const char* from = plain.data() + (plain[0] == '+' ? 1 : 0);
    auto [end, ec] = std::from_chars(from, plain.data() + plain.size(), number);
    if (ec == std::errc::result_out_of_range) number = std::strtod(from, nullptr);  // 0 when it is too small
    if (std::isfinite(number)) {
      bool whole = number == std::floor(number) && std::abs(number) < 1e15;
      out.value = whole ? Value::integer(static_cast<int64_t>(number)) : Value::number(number);
      return out;
    }
  }
  out.is_string = true;
  return out;
}

}  // namespace redoubt::schema
