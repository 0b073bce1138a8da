#include <cmath>

#include "base/encoding.h"
#include "schema/codec.h"
#include "schema/scalars.h"

namespace redoubt::schema {
namespace {

constexpr size_t kMaxWarnings = 50;

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
      base = "intstr.IntOrString";
      break;
    case FieldKind::Time:
      base = "v1.Time";
      break;
    case FieldKind::MicroTime:
      base = "v1.MicroTime";
      break;
    case FieldKind::Duration:
      base = "v1.Duration";
      break;
    default:
      base = "string";
  }
  if (element) return base;
  if (field.map) return "map[string]" + base;
  if (field.repeated) return "[]" + base;
  return base;
}

class Conformer {
 public:
  Conformer(Arena& arena, DecodeWarnings* warnings) : arena_(arena), warnings_(warnings) {}

  Result<void> message(Value& value, const Type& type, std::string_view owner) {
    if (type.list_wrapper) return list(value, type.fields[0]);
    if (!value.is_object()) return mismatch(value, owner, go_type(type));
    size_t mark = path_.size();
    for (size_t i = 0; i < value.size();) {
      Member& member = value.begin_members()[i];
      const Field* field = find_field(type, member.key);
      if (field == nullptr && type.preserve_unknown) {
        ++i;
        continue;
      }
      push_name(member.key);
      if (field == nullptr) {
        warn();
        path_.resize(mark);
        value.erase(member.key);
        continue;
      }
      if (member.value.is_null() && field->kind != FieldKind::Json) {
        path_.resize(mark);
        value.erase(member.key);  // null is absent, as Go reads it
        continue;
      }
      RD_TRYV(this->field(member.value, *field, type));
      path_.resize(mark);
      if (is_noise(member.value, *field)) {
        value.erase(member.key);
        continue;
      }
      ++i;
    }
    return {};
  }

 private:
  Result<void> field(Value& value, const Field& field, const Type& owner) {
    std::string_view owner_name = owner.name;
    if (field.map) {
      if (!value.is_object()) return mismatch(value, owner_name, go_type(field, false));
      size_t mark = path_.size();
      for (Member& member : members(value)) {
        push_name(member.key);
        if (member.value.is_null()) member.value = zero_of(field);
        RD_TRYV(single(member.value, field, owner_name));
        path_.resize(mark);
      }
      return {};
    }
    if (field.repeated) return list(value, field, owner_name);
    return single(value, field, owner_name);
  }

  Result<void> list(Value& value, const Field& field, std::string_view owner = {}) {
    if (!value.is_array()) return mismatch(value, owner, go_type(field, false));
    size_t mark = path_.size();
    for (size_t i = 0; i < value.size(); ++i) {
      path_ += fmt::format("[{}]", i);
      if (value.at(i).is_null()) value.at(i) = zero_of(field);
      RD_TRYV(single(value.at(i), field, owner));
      path_.resize(mark);
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
      case FieldKind::Json:
      case FieldKind::RawExtension:
      case FieldKind::FieldsV1:
        return Value::null();
      default:
        return Value::string("");
    }
  }

  Result<void> single(Value& value, const Field& field, std::string_view owner) {
    auto wrong = [&] { return mismatch(value, owner, go_type(field, true)); };
    switch (field.kind) {
      case FieldKind::Bool:
        if (!value.is_bool()) return wrong();
        return {};
      case FieldKind::Int32:
      case FieldKind::Int64: {
        if (value.kind() == Value::Kind::Double) {
          double number = value.as_double();
          if (number != std::floor(number) || std::abs(number) > 9.2e18) return wrong();
          value = Value::integer(static_cast<int64_t>(number));
        }
        if (!value.is_int()) return wrong();
        if (field.kind == FieldKind::Int32 && (value.as_int() > INT32_MAX || value.as_int() < INT32_MIN)) {
          return bad_request(fmt::format("json: cannot unmarshal number {} into Go struct field {}.{} of type int32",
                                         value.as_int(), short_name(owner), path_));
        }
        return {};
      }
      case FieldKind::Double:
        if (!value.is_number()) return wrong();
        return {};
      case FieldKind::String:
        if (!value.is_string()) return wrong();
        return {};
      case FieldKind::Bytes: {
        if (!value.is_string()) return wrong();
        auto decoded = base64_decode(value.as_string());
        if (!decoded) return bad_request(fmt::format("illegal base64 data in field {}", path_));
        std::string canonical = base64_encode(*decoded);
        if (canonical != value.as_string()) value = Value::string(arena_.copy(canonical));
        return {};
      }
      case FieldKind::Message:
        return message(value, *field.type, owner);
      case FieldKind::Quantity: {
        std::string number;
        if (value.is_number()) {
          number = to_json(value, nullptr);
        } else if (value.is_string()) {
          number = std::string(value.as_string());
        } else {
          return wrong();
        }
        auto quantity = Quantity::parse(number);
        if (!quantity) {
          return bad_request(
              fmt::format("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$' "
                          "(field {}, value \"{}\")",
                          path_, number.substr(0, 64)));
        }
        value = Value::string(arena_.copy(quantity->to_string()));
        return {};
      }
      case FieldKind::IntOrString:
        if (value.is_string()) return {};
        if (!value.is_int() || value.as_int() > INT32_MAX || value.as_int() < INT32_MIN) return wrong();
        return {};
      case FieldKind::Time:
      case FieldKind::MicroTime: {
        if (!value.is_string()) return wrong();
        if (value.as_string().empty()) return {};
        auto time = parse_rfc3339(value.as_string());
        if (!time)
          return bad_request(
              fmt::format("parsing time \"{}\" as RFC 3339 failed (field {})", value.as_string().substr(0, 64), path_));
        std::string canonical = field.kind == FieldKind::Time ? format_rfc3339(*time) : format_rfc3339_micro(*time);
        if (canonical != value.as_string()) value = Value::string(arena_.copy(canonical));
        return {};
      }
      case FieldKind::Duration: {
        if (!value.is_string()) return wrong();
        auto duration = parse_go_duration(value.as_string());
        if (!duration)
          return bad_request(
              fmt::format("time: invalid duration \"{}\" (field {})", value.as_string().substr(0, 64), path_));
        value = Value::string(arena_.copy(format_go_duration(*duration)));
        return {};
      }
      case FieldKind::RawExtension:
      case FieldKind::FieldsV1:
        if (!value.is_object() && !value.is_null()) return wrong();
        return {};
      case FieldKind::Json:
        return {};
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
        return value.as_int() == 0 && field.kind != FieldKind::IntOrString;
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

  static std::string_view short_name(std::string_view owner) {
    size_t dot = owner.rfind('.');
    return dot == std::string_view::npos ? owner : owner.substr(dot + 1);
  }

  Error mismatch(const Value& value, std::string_view owner, std::string_view wanted) {
    return bad_request(fmt::format("json: cannot unmarshal {} into Go struct field {}.{} of type {}", kind_word(value),
                                   short_name(owner), path_, wanted));
  }

  void push_name(std::string_view name) {
    if (!path_.empty()) path_ += '.';
    path_ += name;
  }

  void warn() {
    if (warnings_ != nullptr && warnings_->strict.size() < kMaxWarnings) {
      warnings_->strict.push_back(fmt::format("unknown field \"{}\"", path_));
    }
  }

  Arena& arena_;
  DecodeWarnings* warnings_;
  std::string path_;
};

}  // namespace

Result<void> conform(Value& value, const Type& type, Arena& arena, DecodeWarnings* warnings) {
  return Conformer(arena, warnings).message(value, type, type.name);
}

}  // namespace redoubt::schema
