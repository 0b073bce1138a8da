#include <charconv>
#include <cmath>

#include "base/json_text.h"
#include "schema/codec.h"
#include "schema/decode_helpers.h"

namespace redoubt::schema {
namespace {

// As Go writes a float64: the fewest digits that read back the same, no exponent from 1e-6 up to 1e21.
void append_double(std::string& out, double number) {
  char buffer[40];
  if (number == 0) {
    out += '0';
    return;
  }
  auto [end, ec] = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific);
  std::string_view text(buffer, end);
  if (text[0] == '-') {
    out += '-';
    text.remove_prefix(1);
  }
  size_t mark = text.find('e');
  std::string digits(text.substr(0, mark));
  if (digits.size() > 1) digits.erase(1, 1);
  int exponent = 0;
  bool below_one = text[mark + 1] == '-';
  std::from_chars(text.data() + mark + 2, text.data() + text.size(), exponent);
  if (below_one) exponent = -exponent;
  if (exponent < -6 || exponent >= 21) {
    out += digits[0];
    if (digits.size() > 1) out.append(".").append(digits, 1);
    out += fmt::format("e{}{}", below_one ? '-' : '+', std::abs(exponent));
  } else if (exponent < 0) {
    out.append("0.").append(static_cast<size_t>(-exponent - 1), '0').append(digits);
  } else {
    auto whole = static_cast<size_t>(exponent) + 1;
    if (digits.size() <= whole) {
      out.append(digits).append(whole - digits.size(), '0');
    } else {
      out.append(digits, 0, whole).append(".").append(digits, whole);
    }
  }
}

void append_number(std::string& out, const Value& value) {
  char buffer[40];
  if (value.is_int()) {
    auto [end, ec] = std::to_chars(buffer, buffer + sizeof buffer, value.as_int());
    out.append(buffer, end);
    return;
  }
  append_double(out, value.as_double());
}

void append_field(std::string& out, const Value& value, const Field& field, const Type& owner);

// What Go writes for a member that is not there: nothing under omitempty, else the zero value of a scalar. Custom types
// (no tags) have no such members.
std::string_view zero_text(const Field& field) {
  if (field.tag == 0 || field.omitempty || field.pointer || field.repeated || field.map) return {};
  switch (field.kind) {
    case FieldKind::Bool:
      return "false";
    case FieldKind::Int32:
    case FieldKind::Int64:
    case FieldKind::Double:
      return "0";
    case FieldKind::String:
      return "\"\"";
    default:
      return {};
  }
}

// Members in schema order; an inlined message's members stand where the message stands. `written` counts what was
// written.
void append_members(std::string& out, const Value& value, const Type& type, bool& first, size_t& written) {
  for (const Field& field : type.fields) {
    if (field.inlined && field.type != nullptr && !field.repeated && !field.map) {
      append_members(out, value, *field.type, first, written);
      continue;
    }
    const Value* member = written == value.size() ? nullptr : value.find(field.name);
    std::string_view zero = member == nullptr ? zero_text(field) : std::string_view();
    if (member == nullptr && zero.empty()) continue;
    if (!first) out += ',';
    first = false;
    out += '"';
    out += field.name;  // a schema's names need no escapes
    out += "\":";
    if (member == nullptr) {
      out += zero;
    } else {
      ++written;
      append_field(out, *member, field, type);
    }
  }
}

void append_typed(std::string& out, const Value& value, const Type* type) {
  switch (value.kind()) {
    case Value::Kind::Null:
      out += "null";
      break;
    case Value::Kind::Bool:
      out += value.as_bool() ? "true" : "false";
      break;
    case Value::Kind::Int:
    case Value::Kind::Double:
      append_number(out, value);
      break;
    case Value::Kind::String:
      append_json_string(out, value.as_string());
      break;
    case Value::Kind::Array: {
      out += '[';
      bool first = true;
      for (const Value& item : items(value)) {
        if (!first) out += ',';
        first = false;
        append_typed(out, item, type);
      }
      out += ']';
      break;
    }
    case Value::Kind::Object: {
      out += '{';
      bool first = true;
      size_t written = 0;
      if (type != nullptr && !type->list_wrapper) append_members(out, value, *type, first, written);
      // What the schema does not know (no schema, or preserved fields) comes last, in its own order.
      if (written < value.size()) {
        for (const Member& member : members(value)) {
          if (type != nullptr && find_field(*type, member.key) != nullptr) continue;
          if (!first) out += ',';
          first = false;
          append_json_string(out, member.key);
          out += ':';
          append_typed(out, member.value, nullptr);
        }
      }
      out += '}';
      break;
    }
  }
}

void append_field(std::string& out, const Value& value, const Field& field, const Type& owner) {
  const Type* type = nullptr;
  if (field.kind == FieldKind::Message) type = field.type;
  if (field.kind == FieldKind::Json && json_form(owner, field) != JsonForm::Any) type = &owner;
  if (!field.map || !value.is_object()) {
    append_typed(out, value, type);
    return;
  }
  std::vector<const Member*> sorted;
  sorted.reserve(value.size());
  for (const Member& member : members(value)) sorted.push_back(&member);
  std::sort(sorted.begin(), sorted.end(), [](const Member* a, const Member* b) { return a->key < b->key; });
  out += '{';
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (i > 0) out += ',';
    append_json_string(out, sorted[i]->key);
    out += ':';
    append_typed(out, sorted[i]->value, type);
  }
  out += '}';
}

}  // namespace

void append_json(std::string& out, const Value& value, const Type* type) {
  append_typed(out, value, type);
}

std::string to_json(const Value& value, const Type* type) {
  std::string out;
  append_typed(out, value, type);
  return out;
}

}  // namespace redoubt::schema
