#include "schema/typed.h"

#include "base/encoding.h"
#include "base/json_text.h"
#include "schema/struct_table.h"

namespace redoubt::schema {
namespace {

template <class T>
T& as(void* p) {
  return *static_cast<T*>(p);
}
template <class T>
const T& as(const void* p) {
  return *static_cast<const T*>(p);
}

Result<void> read_one(const StructField& field, const Value& value, void* into) {
  auto wrong = [&](std::string_view wanted) {
    return bad_request(fmt::format("field \"{}\" is no {}", field.name, wanted));
  };
  switch (field.kind) {
    case FieldKind::String:
      if (!value.is_string()) return wrong("string");
      as<std::string>(into) = value.as_string();
      return {};
    case FieldKind::Int32:
      if (!value.is_int() || value.as_int() > INT32_MAX || value.as_int() < INT32_MIN) return wrong("32-bit integer");
      as<int32_t>(into) = static_cast<int32_t>(value.as_int());
      return {};
    case FieldKind::Int64:
      if (!value.is_int()) return wrong("integer");
      as<int64_t>(into) = value.as_int();
      return {};
    case FieldKind::Bool:
      if (!value.is_bool()) return wrong("boolean");
      as<bool>(into) = value.as_bool();
      return {};
    case FieldKind::Double:
      if (!value.is_number()) return wrong("number");
      as<double>(into) = value.as_double();
      return {};
    case FieldKind::Bytes: {
      auto decoded = base64_decode(value.as_string());
      if (!value.is_string() || !decoded) return wrong("base64 text");
      as<ByteString>(into).bytes = std::move(*decoded);
      return {};
    }
    case FieldKind::Message:
      return read_struct(field.table(), value, into);
    case FieldKind::Quantity: {
      auto quantity = value.is_number() ? Quantity::parse(to_json(value, nullptr)) : Quantity::parse(value.as_string());
      if (!quantity) return wrong("quantity");
      as<Quantity>(into) = *quantity;
      return {};
    }
    case FieldKind::IntOrString:
      if (value.is_string()) {
        as<IntOrString>(into) = IntOrString::of(std::string(value.as_string()));
      } else if (value.is_int() && value.as_int() <= INT32_MAX && value.as_int() >= INT32_MIN) {
        as<IntOrString>(into) = IntOrString::of(static_cast<int32_t>(value.as_int()));
      } else {
        return wrong("integer or string");
      }
      return {};
    case FieldKind::Time:
    case FieldKind::MicroTime: {
      auto time = parse_rfc3339(value.as_string());
      if (!time && !value.as_string().empty()) return wrong("time");
      if (time && field.kind == FieldKind::Time) as<Time>(into).at = *time;
      if (time && field.kind == FieldKind::MicroTime) as<MicroTime>(into).at = *time;
      return {};
    }
    case FieldKind::Duration: {
      auto duration = parse_go_duration(value.as_string());
      if (!duration) return wrong("duration");
      as<Duration>(into).value = *duration;
      return {};
    }
    case FieldKind::RawExtension:
    case FieldKind::FieldsV1:
    case FieldKind::Json:
      as<RawJson>(into).json = to_json(value, nullptr);
      return {};
  }
  return {};
}

Result<void> read_field(const StructField& field, const Value& value, void* member) {
  switch (field.shape) {
    case Shape::Plain:
      return read_one(field, value, member);
    case Shape::Optional:
      return read_one(field, value, field.ops->append(member));
    case Shape::List:
      if (!value.is_array()) return bad_request(fmt::format("field \"{}\" is no list", field.name));
      field.ops->reserve(member, value.size());
      for (const Value& item : items(value)) {
        void* slot = field.ops->append(member);
        if (!item.is_null()) RD_TRYV(read_one(field, item, slot));
      }
      return {};
    case Shape::Map:
      if (!value.is_object()) return bad_request(fmt::format("field \"{}\" is no map", field.name));
      for (const Member& m : members(value)) {
        void* slot = field.ops->insert(member, m.key);
        if (!m.value.is_null()) RD_TRYV(read_one(field, m.value, slot));
      }
      return {};
  }
  return {};
}

// Go's omitempty on a value that is no pointer. Structs have no zero value to Go's encoder; they are left out here when
// they would be written as {} and omitempty says so.
bool is_zero(const StructField& field, const void* value) {
  switch (field.kind) {
    case FieldKind::String:
      return as<std::string>(value).empty();
    case FieldKind::Int32:
      return as<int32_t>(value) == 0;
    case FieldKind::Int64:
      return as<int64_t>(value) == 0;
    case FieldKind::Bool:
      return !as<bool>(value);
    case FieldKind::Double:
      return as<double>(value) == 0;
    case FieldKind::Bytes:
      return as<ByteString>(value).bytes.empty();
    case FieldKind::Quantity:
      return as<Quantity>(value).empty();
    case FieldKind::IntOrString:
      return as<IntOrString>(value).empty();
    case FieldKind::Time:
      return as<Time>(value).is_zero();
    case FieldKind::MicroTime:
      return as<MicroTime>(value).is_zero();
    case FieldKind::Duration:
      return as<Duration>(value).value.count() == 0;
    case FieldKind::RawExtension:
    case FieldKind::FieldsV1:
    case FieldKind::Json:
      return as<RawJson>(value).json.empty();
    case FieldKind::Message:
      return false;
  }
  return false;
}

void write_one(std::string& out, const StructField& field, const void* value) {
  switch (field.kind) {
    case FieldKind::String:
      append_json_string(out, as<std::string>(value));
      break;
    case FieldKind::Int32:
      out += std::to_string(as<int32_t>(value));
      break;
    case FieldKind::Int64:
      out += std::to_string(as<int64_t>(value));
      break;
    case FieldKind::Bool:
      out += as<bool>(value) ? "true" : "false";
      break;
    case FieldKind::Double:
      append_json(out, Value::number(as<double>(value)), nullptr);
      break;
    case FieldKind::Bytes:
      append_json_string(out, base64_encode(as<ByteString>(value).bytes));
      break;
    case FieldKind::Message:
      append_struct_json(out, field.table(), value);
      break;
    case FieldKind::Quantity:
      append_json_string(out, as<Quantity>(value).to_string());
      break;
    case FieldKind::IntOrString: {
      const auto& either = as<IntOrString>(value);
      if (either.is_string) {
        append_json_string(out, either.text);
      } else {
        out += std::to_string(either.number);
      }
      break;
    }
    case FieldKind::Time:
      append_json_string(out, format_rfc3339(as<Time>(value).at));
      break;
    case FieldKind::MicroTime:
      append_json_string(out, format_rfc3339_micro(as<MicroTime>(value).at));
      break;
    case FieldKind::Duration:
      append_json_string(out, format_go_duration(as<Duration>(value).value));
      break;
    case FieldKind::RawExtension:
    case FieldKind::FieldsV1:
    case FieldKind::Json:
      out += as<RawJson>(value).json.empty() ? "null" : as<RawJson>(value).json;
      break;
  }
}

// True when the member is left out.
bool left_out(const StructField& field, const void* member) {
  if (field.shape == Shape::Optional) return field.ops->size(member) == 0;
  if (field.shape == Shape::List || field.shape == Shape::Map) return field.ops->size(member) == 0 && field.omitempty;
  if (field.kind == FieldKind::Time || field.kind == FieldKind::MicroTime || field.kind == FieldKind::RawExtension ||
      field.kind == FieldKind::FieldsV1 || field.kind == FieldKind::Json || field.kind == FieldKind::Quantity) {
    return is_zero(field, member);
  }
  return field.omitempty && is_zero(field, member);
}

struct MapWriter {
  std::string& out;
  const StructField& field;
  bool first = true;
};

void write_field(std::string& out, const StructField& field, const void* member) {
  switch (field.shape) {
    case Shape::Plain:
      write_one(out, field, member);
      break;
    case Shape::Optional:
      write_one(out, field, field.ops->at(member, 0));
      break;
    case Shape::List:
      out += '[';
      for (size_t i = 0; i < field.ops->size(member); ++i) {
        if (i > 0) out += ',';
        write_one(out, field, field.ops->at(member, i));
      }
      out += ']';
      break;
    case Shape::Map: {
      out += '{';
      MapWriter writer{out, field};
      field.ops->visit(member, &writer, [](void* context, const std::string& key, const void* value) {
        auto& w = *static_cast<MapWriter*>(context);
        if (!w.first) w.out += ',';
        w.first = false;
        append_json_string(w.out, key);
        w.out += ':';
        write_one(w.out, w.field, value);
      });
      out += '}';
      break;
    }
  }
}

bool equal_one(const StructField& field, const void* a, const void* b) {
  auto same = [&]<class T>(const T*) { return as<T>(a) == as<T>(b); };
  switch (field.kind) {
    case FieldKind::String:
      return same(static_cast<std::string*>(nullptr));
    case FieldKind::Int32:
      return same(static_cast<int32_t*>(nullptr));
    case FieldKind::Int64:
      return same(static_cast<int64_t*>(nullptr));
    case FieldKind::Bool:
      return same(static_cast<bool*>(nullptr));
    case FieldKind::Double:
      return same(static_cast<double*>(nullptr));
    case FieldKind::Bytes:
      return same(static_cast<ByteString*>(nullptr));
    case FieldKind::Quantity:
      return same(static_cast<Quantity*>(nullptr));
    case FieldKind::IntOrString:
      return same(static_cast<IntOrString*>(nullptr));
    case FieldKind::Time:  // to the second, as it is written
      return std::chrono::floor<std::chrono::seconds>(as<Time>(a).at) ==
             std::chrono::floor<std::chrono::seconds>(as<Time>(b).at);
    case FieldKind::MicroTime:
      return same(static_cast<MicroTime*>(nullptr));
    case FieldKind::Duration:
      return same(static_cast<Duration*>(nullptr));
    case FieldKind::Message:
      return equal_structs(field.table(), a, b);
    case FieldKind::RawExtension:
    case FieldKind::FieldsV1:
    case FieldKind::Json:
      return same(static_cast<RawJson*>(nullptr));
  }
  return false;
}

using Entries = std::vector<std::pair<const std::string*, const void*>>;

Entries entries_of(const StructField& field, const void* map) {
  Entries out;
  field.ops->visit(map, &out, [](void* context, const std::string& key, const void* value) {
    static_cast<Entries*>(context)->emplace_back(&key, value);
  });
  return out;
}

bool equal_field(const StructField& field, const void* a, const void* b) {
  if (field.shape == Shape::Plain) return equal_one(field, a, b);
  size_t size = field.ops->size(a);
  if (size != field.ops->size(b)) return false;
  if (field.shape == Shape::Map) {
    Entries left = entries_of(field, a), right = entries_of(field, b);
    for (size_t i = 0; i < size; ++i) {
      if (*left[i].first != *right[i].first || !equal_one(field, left[i].second, right[i].second)) return false;
    }
    return true;
  }
  for (size_t i = 0; i < size; ++i) {
    if (!equal_one(field, field.ops->at(a, i), field.ops->at(b, i))) return false;
  }
  return true;
}

}  // namespace

Result<void> read_struct(const StructTable& table, const Value& value, void* object) {
  if (table.list_wrapper) return read_field(table.fields[0], value, object);
  if (!value.is_object()) return bad_request(fmt::format("{} is no object", table.name));
  for (const Member& member : members(value)) {
    if (member.value.is_null()) continue;
    for (const StructField& field : table.fields) {
      if (field.name != member.key) continue;
      RD_TRYV(read_field(field, member.value, static_cast<char*>(object) + field.offset));
      break;
    }
  }
  return {};
}

void append_struct_json(std::string& out, const StructTable& table, const void* object) {
  if (table.list_wrapper) {
    write_field(out, table.fields[0], object);
    return;
  }
  out += '{';
  bool first = true;
  for (const StructField& field : table.fields) {
    const void* member = static_cast<const char*>(object) + field.offset;
    if (left_out(field, member)) continue;
    size_t mark = out.size();
    if (!first) out += ',';
    append_json_string(out, field.name);
    out += ':';
    write_field(out, field, member);
    // An empty struct under omitempty says nothing: leaving it out keeps equal objects equal.
    if (field.omitempty && field.kind == FieldKind::Message && field.shape == Shape::Plain && out.ends_with(":{}")) {
      out.resize(mark);
      continue;
    }
    first = false;
  }
  out += '}';
}

Value write_struct(const StructTable& table, const void* object, Arena& arena) {
  std::string text;
  append_struct_json(text, table, object);
  auto parsed = parse_json(arena.copy(text), arena, {.max_bytes = SIZE_MAX});
  return parsed ? *parsed : Value::null();
}

bool equal_structs(const StructTable& table, const void* a, const void* b) {
  for (const StructField& field : table.fields) {
    if (!equal_field(field, static_cast<const char*>(a) + field.offset, static_cast<const char*>(b) + field.offset)) {
      return false;
    }
  }
  return true;
}

}  // namespace redoubt::schema
