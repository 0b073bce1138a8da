#include <cmath>

#include "base/encoding.h"
#include "schema/codec.h"
#include "schema/decode_helpers.h"
#include "schema/protobuf.h"
#include "schema/scalars.h"

namespace redoubt::schema {
namespace {

std::string_view kind_word(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::Bool:
      return "bool";
    case Value::Kind::Int:
    case Value::Kind::Double:
      return "number";
    case Value::Kind::String:
      return "string";
    case Value::Kind::Array:
      return "array";
    case Value::Kind::Object:
      return "object";
    default:
      return "null";
  }
}

// "v1.Container" of "io.k8s.api.core.v1.Container", as Go prints a type.
std::string go_type(const Type& type) {
  size_t last = type.name.rfind('.');
  size_t before = last == std::string_view::npos ? last : type.name.rfind('.', last - 1);
  return std::string(before == std::string_view::npos ? type.name : type.name.substr(before + 1));
}

std::string go_type(const Field& field, bool element) {
  std::string base;
  switch (field.kind) {
    case FieldKind::Bool:
      base = "bool";
      break;
    case FieldKind::Int32:
      base = "int32";
      break;
    case FieldKind::Int64:
      base = "int64";
      break;
    case FieldKind::Double:
      base = "float64";
      break;
    case FieldKind::Bytes:
      base = "[]uint8";
      break;
    case FieldKind::Message:
      base = go_type(*field.type);
      break;
    case FieldKind::Quantity:
      base = "resource.Quantity";
      break;
    case FieldKind::IntOrString:
      base = "int32";
      break;
    case FieldKind::Time:
      base = "string";
      break;
    case FieldKind::MicroTime:
      base = "string";
      break;
    case FieldKind::Duration:
      base = "string";
      break;
    default:
      base = "string";
  }
  if (element) return base;
  if (field.map) return "map[string]" + base;
  if (field.repeated) return "[]" + base;
  return base;
}

std::string_view short_name(const Type& type) {
  size_t dot = type.name.rfind('.');
  return dot == std::string_view::npos ? type.name : type.name.substr(dot + 1);
}

// Where base64 text stops being such: its first foreign character, or its end.
size_t first_wrong_base64(std::string_view text) {
  size_t at = text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/\r\n");
  return std::min(at, text.size());
}

std::string_view trimmed(std::string_view text) {
  size_t from = text.find_first_not_of(" \t\r\n");
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t\r\n") - from + 1);
}

class Conformer {
 public:
  Conformer(Arena& arena, DecodeWarnings* warnings) : arena_(arena), warnings_(warnings) {}

  Result<void> top(Value& value, const Type& type) {
    if (!type.list_wrapper && !value.is_object()) {
      return bad_request(
          fmt::format("json: cannot unmarshal {} into Go value of type {}", kind_word(value), go_type(type)));
    }
    return message(value, type, type, nullptr);
  }

 private:
  // One value at its place in the object, for complaints.
  struct Place {
    const Type& owner;
    const PathFrame* path;
  };

  Result<void> message(Value& value, const Type& type, const Type& owner, const PathFrame* path) {
    if (type.list_wrapper) return list(value, type.fields[0], {owner, path});
    if (!value.is_object()) return mismatch(value, {owner, path}, go_type(type));
    Member* all = value.begin_members();
    size_t size = value.size(), kept = 0;
    for (size_t i = 0; i < size; ++i) {
      Member& member = all[i];
      const Field* field = find_field(type, member.key);
      PathFrame here{path, PathFrame::Step::Field, member.key};
      if (field == nullptr) {
        if (type.preserve_unknown) {
          all[kept++] = member;
        } else {
          warn(here);
        }
        continue;
      }
      if (member.value.is_null()) continue;  // null is absent, as Go reads it
      RD_TRYV(this->field(member.value, *field, {type, &here}));
      if (!is_noise(member.value, *field)) all[kept++] = member;
    }
    value.truncate(kept);
    return {};
  }

  Result<void> field(Value& value, const Field& field, const Place& place) {
    if (field.map) {
      if (!value.is_object()) return mismatch(value, place, go_type(field, false));
      for (Member& member : members(value)) {
        PathFrame here{place.path, PathFrame::Step::Key, member.key};
        if (member.value.is_null()) member.value = zero_of(field);
        RD_TRYV(single(member.value, field, {place.owner, &here}));
      }
      return {};
    }
    if (field.repeated) return list(value, field, place);
    return single(value, field, place);
  }

  Result<void> list(Value& value, const Field& field, const Place& place) {
    if (!value.is_array()) return mismatch(value, place, go_type(field, false));
    PathFrame here{place.path, PathFrame::Step::Item, {}, 0};
    for (Value& item : items(value)) {
      if (item.is_null()) item = zero_of(field);
      RD_TRYV(single(item, field, {place.owner, &here}));
      ++here.index;
    }
    return {};
  }

  // What a null element of a list or map means in Go: the zero value.
  Value zero_of(const Field& field) {
    switch (field.kind) {
      case FieldKind::Bool:
        return Value::boolean(false);
      case FieldKind::Int32:
      case FieldKind::Int64:
      case FieldKind::Double:
      case FieldKind::IntOrString:
        return Value::integer(0);
      case FieldKind::Message:
        return field.type->list_wrapper ? Value::array(arena_) : Value::object(arena_);
      case FieldKind::Quantity:
        return Value::string("0");
      case FieldKind::Duration:
        return Value::string("0s");
      case FieldKind::Json:
      case FieldKind::RawExtension:
      case FieldKind::FieldsV1:
        return Value::null();
      default:
        return Value::string("");
    }
  }

  Result<void> single(Value& value, const Field& field, const Place& place) {
    auto wrong = [&] { return mismatch(value, place, go_type(field, true)); };
    switch (field.kind) {
      case FieldKind::Bool:
        if (!value.is_bool()) return wrong();
        return {};
      case FieldKind::Int32:
      case FieldKind::Int64:
        return integer(value, field, place);
      case FieldKind::Double:
        if (!value.is_number()) return wrong();
        return {};
      case FieldKind::String:
        if (!value.is_string()) return wrong();
        return {};
      case FieldKind::Bytes: {
        if (!value.is_string()) return wrong();
        auto decoded = base64_decode(value.as_string());
        if (!decoded) {
          return bad_request(fmt::format("illegal base64 data at input byte {} (field {})",
                                         first_wrong_base64(value.as_string()), path_text(place.path)));
        }
        std::string canonical = base64_encode(*decoded);
        if (canonical != value.as_string()) value = Value::string(arena_.copy(canonical));
        return {};
      }
      case FieldKind::Message:
        return message(value, *field.type, place.owner, place.path);
      case FieldKind::Quantity:
        return quantity(value, field, place);
      case FieldKind::IntOrString:
        if (value.is_string()) return {};
        return integer(value, field, place);
      case FieldKind::Time:
      case FieldKind::MicroTime:
        return time(value, field, place);
      case FieldKind::Duration: {
        if (!value.is_string()) return wrong();
        auto duration = parse_go_duration(value.as_string());
        if (!duration) {
          return bad_request(fmt::format("time: invalid duration \"{}\" (field {})",
                                         value.as_string().substr(0, kShownBytes), path_text(place.path)));
        }
        value = Value::string(arena_.copy(format_go_duration(*duration)));
        return {};
      }
      case FieldKind::RawExtension:
        return {};
      case FieldKind::FieldsV1:
        if (!value.is_object() && !value.is_null()) return wrong();
        return {};
      case FieldKind::Json:
        return json(value, field, place);
    }
    return {};
  }

  Result<void> integer(Value& value, const Field& field, const Place& place) {
    if (value.kind() == Value::Kind::Double) {
      double number = value.as_double();
      if (number != std::floor(number) || std::abs(number) > kLargestWholeDouble)
        return no_integer(value, field, place);
      value = Value::integer(static_cast<int64_t>(number));
    }
    if (!value.is_int()) return mismatch(value, place, go_type(field, true));
    bool is_64 = field.kind == FieldKind::Int64;
    if (!is_64 && (value.as_int() > INT32_MAX || value.as_int() < INT32_MIN)) return no_integer(value, field, place);
    return {};
  }

  Error no_integer(const Value& value, const Field& field, const Place& place) {
    return bad_request(fmt::format("json: cannot unmarshal number {} into Go struct field {}.{} of type {}",
                                   to_json(value, nullptr), short_name(place.owner), field_path_text(place.path),
                                   field.kind == FieldKind::Int64 ? "int64" : "int32"));
  }

  Result<void> quantity(Value& value, const Field& field, const Place& place) {
    if (!value.is_number() && !value.is_string()) return mismatch(value, place, go_type(field, true));
    std::string number = value.is_number() ? to_json(value, nullptr) : std::string(trimmed(value.as_string()));
    auto quantity = Quantity::parse(number);
    if (!quantity) {
      size_t tail = number.find_first_not_of("+-0123456789.");
      bool bad_suffix =
          tail != 0 && tail != std::string::npos && number.find_first_not_of("eEinumkKMGTP", tail) == std::string::npos;
      return bad_request(fmt::format(
          "{} (field {}, value \"{}\")",
          bad_suffix ? "unable to parse quantity's suffix"
                     : "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
          path_text(place.path), number.substr(0, kShownBytes)));
    }
    std::string canonical = quantity->to_string();
    if (!value.is_string() || canonical != value.as_string()) value = Value::string(arena_.copy(canonical));
    return {};
  }

  Result<void> time(Value& value, const Field& field, const Place& place) {
    if (!value.is_string()) return mismatch(value, place, go_type(field, true));
    auto time = parse_rfc3339(value.as_string());
    if (!time || *time < Timestamp(std::chrono::seconds(kFirstSecond)) ||
        *time >= Timestamp(std::chrono::seconds(kLastSecond + 1))) {
      return bad_request(fmt::format(
          "parsing time \"{}\" as \"{}\": it is no such time (field {})", value.as_string().substr(0, kShownBytes),
          field.kind == FieldKind::Time ? "2006-01-02T15:04:05Z07:00" : "2006-01-02T15:04:05.000000Z07:00",
          path_text(place.path)));
    }
    bool is_zero = *time == Timestamp(std::chrono::seconds(kFirstSecond));
    std::string canonical = is_zero                         ? std::string()
                            : field.kind == FieldKind::Time ? format_rfc3339(*time)
                                                            : format_rfc3339_micro(*time);
    if (canonical != value.as_string()) value = Value::string(arena_.copy(canonical));
    return {};
  }

  // Schemas in a CRD's schema, where JSON lets a list or a boolean stand for one too.
  Result<void> json(Value& value, const Field& field, const Place& place) {
    JsonForm form = json_form(place.owner, field);
    if (form == JsonForm::Any || value.is_null()) return {};
    if (value.is_object()) return message(value, place.owner, place.owner, place.path);
    if (form == JsonForm::SchemaOrBool) {
      if (!value.is_bool()) return bad_request(fmt::format("{} must be a boolean or a schema", path_text(place.path)));
      return {};
    }
    if (!value.is_array()) {
      return bad_request(fmt::format("{} must be a schema or a list", path_text(place.path)));
    }
    PathFrame here{place.path, PathFrame::Step::Item, {}, 0};
    for (Value& item : items(value)) {
      if (form == JsonForm::SchemaOrArray) {
        RD_TRYV(message(item, place.owner, place.owner, &here));
      } else if (!item.is_string()) {
        return mismatch(item, {place.owner, &here}, "string");
      }
      ++here.index;
    }
    return {};
  }

  // A zero value that Go's omitempty leaves out, or a zero time.
  static bool is_noise(const Value& value, const Field& field) {
    if ((field.kind == FieldKind::Time || field.kind == FieldKind::MicroTime) && value.is_string() &&
        value.as_string().empty())
      return true;
    if (!field.omitempty || field.pointer) return false;
    switch (value.kind()) {
      case Value::Kind::Bool:
        return !value.as_bool();
      case Value::Kind::Int:
        return value.as_int() == 0;
      case Value::Kind::Double:
        return value.as_double() == 0;
      case Value::Kind::String:
        return value.as_string().empty() && field.kind != FieldKind::IntOrString;
      case Value::Kind::Array:
        return value.empty();
      case Value::Kind::Object:
        return value.empty() && (field.map || field.kind == FieldKind::Message);
      default:
        return false;
    }
  }

  Error mismatch(const Value& value, const Place& place, std::string_view wanted) {
    return bad_request(fmt::format("json: cannot unmarshal {} into Go struct field {}.{} of type {}", kind_word(value),
                                   short_name(place.owner), field_path_text(place.path), wanted));
  }

  void warn(const PathFrame& here) {
    if (warnings_ != nullptr && warnings_->strict.size() < kMaxStrictWarnings) {
      warnings_->strict.push_back(fmt::format("unknown field \"{}\"", path_text(&here)));
    }
  }

  // How much of a wrong value a message shows.
  static constexpr size_t kShownBytes = 64;
  // Below 2^63, where a double can still be turned into an integer.
  static constexpr double kLargestWholeDouble = 9.2e18;

  Arena& arena_;
  DecodeWarnings* warnings_;
};

}  // namespace

Result<void> conform(Value& value, const Type& type, Arena& arena, DecodeWarnings* warnings) {
  return Conformer(arena, warnings).top(value, type);
}

}  // namespace redoubt::schema
