#include "schema/codec.h"
#include "schema/decode_helpers.h"
#include "schema/yaml.h"

namespace redoubt::schema {
namespace {

// The characters above ASCII that YAML reads as breaks or not at all (U+0085, U+2028, U+2029, U+FEFF), as escapes.
std::string_view break_escape(std::string_view text) {
  if (text.starts_with("\xC2\x85")) return "\\u0085";
  if (text.starts_with("\xE2\x80\xA8")) return "\\u2028";
  if (text.starts_with("\xE2\x80\xA9")) return "\\u2029";
  if (text.starts_with("\xEF\xBB\xBF")) return "\\uFEFF";
  return {};
}

bool has_control(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    if ((byte < 0x20 && byte != '\n') || byte == 0x7F) return true;
    if (byte >= 0x80 && !break_escape(text.substr(i, 3)).empty()) return true;
  }
  return false;
}

// A date, which other readers of YAML would take for one, or a number of base 60.
bool looks_like_date_or_base60(std::string_view text) {
  if (text.empty() || !(text[0] == '-' || text[0] == '+' || (text[0] >= '0' && text[0] <= '9'))) return false;
  bool date = text.size() >= 8 && text.find_first_not_of("0123456789-:.TtZz+ ") == std::string_view::npos &&
              text.find('-', 1) == 4;
  bool base60 =
      text.find(':') != std::string_view::npos && text.find_first_not_of("0123456789:._+-") == std::string_view::npos;
  return date || base60;
}

// Whether the text can stand without quotes, as key or value in a block.
bool can_be_plain(std::string_view text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ') return false;
  if (text.starts_with("---") || text.starts_with("...")) return false;
  static constexpr std::string_view kIndicators = ",[]{}#&*!|>'\"%@`";
  if (kIndicators.find(text[0]) != std::string_view::npos) return false;
  bool dash_like = text[0] == '-' || text[0] == '?' || text[0] == ':';
  if (dash_like && (text.size() == 1 || text[1] == ' ')) return false;
  if (text.find(": ") != std::string_view::npos || text.find(" #") != std::string_view::npos || text.back() == ':')
    return false;
  return text != "<<" && text != "=";
}

class YamlWriter {
  // Longer keys are announced by a question mark; readers need not look further than 1,024 characters for a colon.
  static constexpr size_t kLongestSimpleKey = 128;

 public:
  explicit YamlWriter(std::string& out) : out_(out) {}

  // A block at `indent`; the cursor is at the beginning of its first line, already indented.
  void block(const Value& value, size_t indent) {
    if (value.is_array() && !value.empty()) {
      bool first = true;
      for (const Value& item : items(value)) {
        if (!first) out_.append(indent, ' ');
        first = false;
        out_ += "- ";
        block(item, indent + 2);
      }
      return;
    }
    if (value.is_object() && !value.empty()) {
      std::vector<const Member*> sorted;
      sorted.reserve(value.size());
      for (const Member& member : members(value)) sorted.push_back(&member);
      std::sort(sorted.begin(), sorted.end(), [](const Member* a, const Member* b) { return a->key < b->key; });
      for (size_t i = 0; i < sorted.size(); ++i) {
        if (i > 0) out_.append(indent, ' ');
        key(sorted[i]->key, indent);
        member(sorted[i]->value, indent);
      }
      return;
    }
    scalar(value, indent);
    out_ += '\n';
  }

 private:
  void key(std::string_view text, size_t indent) {
    size_t start = out_.size();
    if (text.find('\n') != std::string_view::npos) {
      quoted(text);
    } else {
      line(text);
    }
    if (out_.size() - start > kLongestSimpleKey) {
      out_.insert(start, "? ");
      out_ += '\n';
      out_.append(indent, ' ');
    }
    out_ += ':';
  }

  void member(const Value& value, size_t indent) {
    if ((value.is_array() || value.is_object()) && !value.empty()) {
      size_t inner = value.is_array() ? indent : indent + 2;  // lists stand under their key, as upstream writes them
      out_ += '\n';
      out_.append(inner, ' ');
      block(value, inner);
      return;
    }
    out_ += ' ';
    scalar(value, indent + 2);
    out_ += '\n';
  }

  void scalar(const Value& value, size_t indent) {
    if (value.is_array()) {
      out_ += "[]";
    } else if (value.is_object()) {
      out_ += "{}";
    } else if (!value.is_string()) {
      append_json(out_, value, nullptr);
    } else if (value.as_string().find('\n') != std::string_view::npos) {
      lines(value.as_string(), indent);
    } else {
      line(value.as_string());
    }
  }

  void line(std::string_view text) {
    YamlScalar read = resolve_yaml_scalar(text);
    if (has_control(text) || !read.is_string || looks_like_date_or_base60(text)) {
      quoted(text);
    } else if (can_be_plain(text)) {
      out_ += text;
    } else {
      out_ += '\'';
      for (char c : text) {
        out_ += c;
        if (c == '\'') out_ += '\'';
      }
      out_ += '\'';
    }
  }

  // Text of several lines, as a literal block where one can hold it.
  void lines(std::string_view text, size_t indent) {
    bool blank_line_end = text.find(" \n") != std::string_view::npos || text.back() == ' ';
    if (has_control(text) || blank_line_end || text[0] == ' ' || text[0] == '\n') {
      quoted(text);
      return;
    }
    indent = std::max<size_t>(indent, 2);
    out_ += '|';
    if (text.back() != '\n') {
      out_ += '-';
    } else if (text.size() > 1 && text[text.size() - 2] == '\n') {
      out_ += '+';
    }
    bool ends = text.back() == '\n';
    std::string_view rest = ends ? text.substr(0, text.size() - 1) : text;
    for (size_t from = 0; from <= rest.size();) {
      size_t to = std::min(rest.find('\n', from), rest.size());
      out_ += '\n';
      if (to > from) {
        out_.append(indent, ' ');
        out_ += rest.substr(from, to - from);
      }
      from = to + 1;
    }
  }

  void quoted(std::string_view text) {
    static constexpr char kHex[] = "0123456789abcdef";
    out_ += '"';
    for (size_t i = 0; i < text.size(); ++i) {
      char c = text[i];
      auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        out_ += '\\';
        out_ += c;
      } else if (c == '\n') {
        out_ += "\\n";
      } else if (c == '\t') {
        out_ += "\\t";
      } else if (c == '\r') {
        out_ += "\\r";
      } else if (byte < 0x20 || byte == 0x7F) {
        out_ += "\\x";
        out_ += kHex[byte >> 4];
        out_ += kHex[byte & 15];
      } else if (std::string_view escape = break_escape(text.substr(i)); !escape.empty()) {
        out_ += escape;
        i += byte == 0xC2 ? 1 : 2;
      } else {
        out_ += c;
      }
    }
    out_ += '"';
  }

  std::string& out_;
};

}  // namespace

std::string to_yaml(const Value& value) {
  std::string out;
  YamlWriter(out).block(value, 0);
  return out;
}

}  // namespace redoubt::schema
