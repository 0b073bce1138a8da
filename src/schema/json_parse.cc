#include <simdjson.h>

#include <charconv>
#include <cmath>
#include <unordered_map>

#include "schema/codec.h"
#include "schema/decode_helpers.h"

namespace redoubt::schema {
namespace {

// Objects up to this many members are searched for duplicates one by one; larger ones by hash.
constexpr size_t kSmallObject = 16;

// Of eight characters, the number before the first that ends a run of plain text: quote, backslash, control.
size_t plain_prefix(const char* at) {
  constexpr uint64_t kOnes = 0x0101010101010101, kHighs = 0x8080808080808080;
  uint64_t word;
  std::memcpy(&word, at, 8);
  auto zero_bytes = [](uint64_t x) { return (x - kOnes) & ~x & kHighs; };
  uint64_t stops =
      zero_bytes(word ^ (kOnes * '"')) | zero_bytes(word ^ (kOnes * '\\')) | ((word - kOnes * 0x20) & ~word & kHighs);
  if constexpr (std::endian::native == std::endian::big) return stops == 0 ? 8 : 0;
  return stops == 0 ? 8 : static_cast<size_t>(std::countr_zero(stops)) / 8;
}

// A strict RFC 8259 parser that works on the bytes in place; strings without escapes stay views of the input.
class Parser {
 public:
  Parser(std::string_view text, Arena& arena, const DecodeLimits& limits, DecodeWarnings* warnings)
      : begin_(text.data()),
        at_(text.data()),
        end_(text.data() + text.size()),
        arena_(arena),
        limits_(limits),
        warnings_(warnings),
        valid_utf8_(simdjson::validate_utf8(text.data(), text.size())) {}

  Result<Value> parse() {
    Value value;
    skip_blanks();
    if (at_ == end_) return bad_request("unexpected end of JSON input");
    if (!parse_value(value, 0, nullptr)) return bad_request(std::move(error_));
    skip_blanks();
    if (at_ != end_) {
      fail_at(at_, "after top-level value");
      return bad_request(std::move(error_));
    }
    return value;
  }

 private:
  void skip_blanks() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }

  bool fail(std::string what) {
    error_ = std::move(what);
    return false;
  }

  bool fail_at(const char* where, std::string_view context) {
    if (where >= end_) return fail("unexpected end of JSON input");
    auto c = static_cast<unsigned char>(*where);
    std::string shown = c >= 0x20 && c < 0x7F ? std::string(1, *where) : fmt::format("\\x{:02x}", c);
    return fail(fmt::format("invalid character '{}' {} at offset {}", shown, context, where - begin_));
  }

  bool parse_value(Value& out, size_t depth, const PathFrame* path) {
    if (depth > limits_.max_depth) return fail(fmt::format("exceeded max depth of {}", limits_.max_depth));
    if (at_ == end_) return fail_at(at_, "");
    switch (*at_) {
      case '{':
        return parse_object(out, depth, path);
      case '[':
        return parse_array(out, depth, path);
      case '"': {
        std::string_view text;
        if (!parse_string(text)) return false;
        out = Value::string(text);
        return true;
      }
      case 't':
        return parse_literal("true", Value::boolean(true), out);
      case 'f':
        return parse_literal("false", Value::boolean(false), out);
      case 'n':
        return parse_literal("null", Value::null(), out);
      default:
        return parse_number(out);
    }
  }

  bool parse_literal(std::string_view word, Value value, Value& out) {
    for (char c : word) {
      if (at_ == end_ || *at_ != c) return fail_at(at_, fmt::format("in literal {}", word));
      ++at_;
    }
    out = value;
    return true;
  }

  bool parse_number(Value& out) {
    const char* start = at_;
    if (at_ != end_ && *at_ == '-') ++at_;
    auto digits = [this] {
      const char* from = at_;
      while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
      return at_ - from;
    };
    const char* first = at_;
    auto whole = digits();
    if (whole == 0) return fail_at(at_, start == at_ ? "looking for beginning of value" : "in numeric literal");
    if (whole > 1 && *first == '0') return fail_at(first + 1, "after leading zero");
    bool integer = true;
    if (at_ != end_ && *at_ == '.') {
      integer = false;
      ++at_;
      if (digits() == 0) return fail_at(at_, "after decimal point in numeric literal");
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      integer = false;
      ++at_;
      if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
      if (digits() == 0) return fail_at(at_, "in exponent of numeric literal");
    }
    if (integer) {
      int64_t number = 0;
      if (std::from_chars(start, at_, number).ec == std::errc()) {
        out = Value::integer(number);
        return true;
      }
    }
    double number = 0;
    auto [ptr, ec] = std::from_chars(start, at_, number);
    if (ec == std::errc::result_out_of_range) number = std::strtod(std::string(start, at_).c_str(), nullptr);  // or 0
    if (!std::isfinite(number)) {
      return fail(fmt::format("number {} is out of range", std::string_view(start, std::min<size_t>(at_ - start, 40))));
    }
    out = Value::number(number);
    return true;
  }

  bool parse_hex4(uint32_t& out) {
    if (end_ - at_ < 4) return fail_at(end_, "");
    out = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      char c = *at_;
      uint32_t digit = c >= '0' && c <= '9'   ? c - '0'
                       : c >= 'a' && c <= 'f' ? c - 'a' + 10
                       : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                              : 16;
      if (digit == 16) return fail_at(at_, "in \\u hexadecimal character escape");
      out = out << 4 | digit;
    }
    return true;
  }

  static void append_utf8(std::string& out, uint32_t rune) {
    if (rune < 0x80) {
      out += static_cast<char>(rune);
    } else if (rune < 0x800) {
      out += static_cast<char>(0xC0 | rune >> 6);
      out += static_cast<char>(0x80 | (rune & 63));
    } else if (rune < 0x10000) {
      out += static_cast<char>(0xE0 | rune >> 12);
      out += static_cast<char>(0x80 | (rune >> 6 & 63));
      out += static_cast<char>(0x80 | (rune & 63));
    } else {
      out += static_cast<char>(0xF0 | rune >> 18);
      out += static_cast<char>(0x80 | (rune >> 12 & 63));
      out += static_cast<char>(0x80 | (rune >> 6 & 63));
      out += static_cast<char>(0x80 | (rune & 63));
    }
  }

  bool parse_string(std::string_view& out) {
    const char* start = ++at_;
    for (size_t plain = 8; plain == 8 && end_ - at_ >= 8; at_ += plain) plain = plain_prefix(at_);
    while (at_ != end_ && *at_ != '"' && *at_ != '\\' && static_cast<unsigned char>(*at_) >= 0x20) ++at_;
    if (at_ == end_) return fail_at(at_, "");
    if (*at_ == '"') {
      out = {start, static_cast<size_t>(at_ - start)};
      if (!valid_utf8_) out = clean_utf8(out, arena_);
      ++at_;
      return true;
    }
    std::string text(start, at_);
    while (true) {
      if (at_ == end_) return fail_at(at_, "");
      char c = *at_;
      if (c == '"') break;
      if (static_cast<unsigned char>(c) < 0x20) return fail_at(at_, "in string literal");
      ++at_;
      if (c != '\\') {
        text += c;
        continue;
      }
      if (at_ == end_) return fail_at(at_, "");
      char escape = *at_++;
      switch (escape) {
        case '"':
        case '\\':
        case '/':
          text += escape;
          break;
        case 'b':
          text += '\b';
          break;
        case 'f':
          text += '\f';
          break;
        case 'n':
          text += '\n';
          break;
        case 'r':
          text += '\r';
          break;
        case 't':
          text += '\t';
          break;
        case 'u': {
          uint32_t rune = 0;
          if (!parse_hex4(rune)) return false;
          if (rune >= 0xD800 && rune < 0xDC00 && end_ - at_ >= 6 && at_[0] == '\\' && at_[1] == 'u') {
            const char* back = at_;
            at_ += 2;
            uint32_t low = 0;
            if (!parse_hex4(low)) return false;
            if (low >= 0xDC00 && low < 0xE000) {
              rune = 0x10000 + ((rune - 0xD800) << 10) + (low - 0xDC00);
            } else {
              at_ = back;
            }
          }
          if (rune >= 0xD800 && rune < 0xE000) rune = 0xFFFD;  // a lone surrogate
          append_utf8(text, rune);
          break;
        }
        default:
          return fail_at(at_ - 1, "in string escape code");
      }
    }
    ++at_;
    out = arena_.copy(text);
    if (!valid_utf8_) out = clean_utf8(out, arena_);
    return true;
  }

  bool parse_array(Value& out, size_t depth, const PathFrame* path) {
    out = Value::array(arena_);
    ++at_;
    skip_blanks();
    if (at_ != end_ && *at_ == ']') {
      ++at_;
      return true;
    }
    PathFrame here{path, PathFrame::Step::Item, {}, 0};
    for (;; ++here.index) {
      skip_blanks();
      Value item;
      if (!parse_value(item, depth + 1, &here)) return false;
      out.push_back(arena_, item);
      skip_blanks();
      if (at_ == end_) return fail_at(at_, "");
      if (*at_ == ']') break;
      if (*at_ != ',') return fail_at(at_, "after array element");
      ++at_;
    }
    ++at_;
    return true;
  }

  bool parse_object(Value& out, size_t depth, const PathFrame* path) {
    out = Value::object(arena_);
    ++at_;
    skip_blanks();
    if (at_ != end_ && *at_ == '}') {
      ++at_;
      return true;
    }
    PathFrame here{path, PathFrame::Step::Field, {}};
    Seen seen;
    while (true) {
      skip_blanks();
      if (at_ == end_ || *at_ != '"') return fail_at(at_, "looking for beginning of object key string");
      if (!parse_string(here.name)) return false;
      skip_blanks();
      if (at_ == end_ || *at_ != ':') return fail_at(at_, "after object key");
      ++at_;
      skip_blanks();
      Value value;
      if (!parse_value(value, depth + 1, &here)) return false;
      if (Value* there = duplicate_of(out, here.name, seen)) {
        if (warnings_ != nullptr && warnings_->strict.size() < kMaxStrictWarnings) {
          warnings_->strict.push_back(fmt::format("duplicate field \"{}\"", path_text(&here)));
        }
        *there = value;
      } else {
        out.append(arena_, here.name, value);
      }
      skip_blanks();
      if (at_ == end_) return fail_at(at_, "");
      if (*at_ == '}') break;
      if (*at_ != ',') return fail_at(at_, "after object key:value pair");
      ++at_;
    }
    ++at_;
    return true;
  }

  // The places of an object's keys, filled once the object is no longer small.
  using Seen = std::unique_ptr<std::unordered_map<std::string_view, size_t>>;

  // The member of that key if there is one already; else notes that it comes next.
  static Value* duplicate_of(const Value& object, std::string_view key, Seen& seen) {
    if (object.size() < kSmallObject) return object.find(key);
    if (seen == nullptr) {
      seen = std::make_unique<Seen::element_type>();
      for (const Member& member : members(object)) seen->emplace(member.key, seen->size());
    }
    auto [it, added] = seen->emplace(key, object.size());
    return added ? nullptr : &object.begin_members()[it->second].value;
  }

  const char* begin_;
  const char* at_;
  const char* end_;
  Arena& arena_;
  const DecodeLimits& limits_;
  DecodeWarnings* warnings_;
  bool valid_utf8_;
  std::string error_;
};

}  // namespace

Result<Value> parse_json(std::string_view text, Arena& arena, const DecodeLimits& limits, DecodeWarnings* warnings) {
  if (text.size() > limits.max_bytes) {
    return request_entity_too_large(
        fmt::format("the JSON text is {} bytes, the limit is {}", text.size(), limits.max_bytes));
  }
  return Parser(text, arena, limits, warnings).parse();
}

}  // namespace redoubt::schema
