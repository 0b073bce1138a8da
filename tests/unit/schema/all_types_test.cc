// Every built-in type, filled with a value in each field, goes through all forms unchanged.
#include <gtest/gtest.h>

#include <set>

#include "schema/codec.h"

using namespace redoubt;
using namespace redoubt::schema;

namespace {

// How deep samples nest: deep enough to see recursive types twice.
constexpr int kSampleDepth = 5;

Value sample(const Type& type, Arena& arena, int depth);

Value sample_of(const Field& field, Arena& arena, int depth) {
  switch (field.kind) {
    case FieldKind::Bool:
      return Value::boolean(true);
    case FieldKind::Int32:
      return Value::integer(-7);
    case FieldKind::Int64:
      return Value::integer(int64_t{1} << 40);
    case FieldKind::Double:
      return Value::number(1.5);
    case FieldKind::String:
      return Value::string("text \"quoted\"");
    case FieldKind::Bytes:
      return Value::string("AP8=");
    case FieldKind::Message:
      return sample(*field.type, arena, depth - 1);
    case FieldKind::Quantity:
      return Value::string("1500m");
    case FieldKind::IntOrString:
      return Value::string("50%");
    case FieldKind::Time:
      return Value::string("2026-01-02T03:04:05Z");
    case FieldKind::MicroTime:
      return Value::string("2026-01-02T03:04:05.000600Z");
    case FieldKind::Duration:
      return Value::string("1h0m5s");
    case FieldKind::FieldsV1:
    case FieldKind::RawExtension: {
      Value raw = Value::object(arena);
      raw.set(arena, "any", Value::integer(1));
      return raw;
    }
    case FieldKind::Json: {
      if (field.name == "additionalItems" || field.name == "additionalProperties") return Value::boolean(true);
      Value list = Value::array(arena);
      if (field.name == "dependencies") list.push_back(arena, Value::string("x"));
      if (field.name == "items") list.push_back(arena, Value::object(arena));
      return field.name == "dependencies" || field.name == "items" ? list : Value::integer(5);
    }
  }
  return {};
}

void fill(Value& object, const Type& type, Arena& arena, int depth) {
  for (const Field& field : type.fields) {
    if (field.inlined && field.kind == FieldKind::Message && !field.repeated && !field.map) {
      fill(object, *field.type, arena, depth);
      continue;
    }
    if (field.kind == FieldKind::Message && depth <= 0) continue;
    Value value = sample_of(field, arena, depth);
    if (value.is_object() && value.empty() && field.kind == FieldKind::Message && !field.pointer) continue;
    if (field.map) {
      Value map = Value::object(arena);
      map.set(arena, "key", value);
      value = map;
    } else if (field.repeated) {
      Value list = Value::array(arena);
      list.push_back(arena, value);
      value = list;
    }
    object.set(arena, field.name, value);
  }
}

Value sample(const Type& type, Arena& arena, int depth) {
  if (type.list_wrapper) {
    Value list = Value::array(arena);
    list.push_back(arena, sample_of(type.fields[0], arena, depth));
    return list;
  }
  Value object = Value::object(arena);
  fill(object, type, arena, depth);
  return object;
}

}  // namespace

TEST(AllTypes, GoThroughEveryFormUnchanged) {
  size_t fields = 0;
  for (const Type* type : all_types()) {
    SCOPED_TRACE(type->name);
    Arena arena;
    int depth = kSampleDepth;
    Value value = sample(*type, arena, depth);
    std::string json = to_json(value, type);
    while (json.size() > 20'000) json = to_json(value = sample(*type, arena, --depth), type);
    fields += type->fields.size();

    auto parsed = parse_json(json, arena);
    ASSERT_TRUE(parsed);
    DecodeWarnings warnings;
    auto ok = conform(*parsed, *type, arena, &warnings);
    ASSERT_TRUE(ok) << ok.error().message();
    EXPECT_TRUE(warnings.strict.empty()) << warnings.strict[0];
    std::string canonical = to_json(*parsed, type);
    EXPECT_EQ(canonical, json);

    auto encoded = to_protobuf_message(*parsed, *type);
    ASSERT_TRUE(encoded) << encoded.error().message();
    auto decoded = parse_protobuf_message(*encoded, *type, arena);
    ASSERT_TRUE(decoded) << decoded.error().message();
    ASSERT_TRUE(conform(*decoded, *type, arena));
    auto again = to_protobuf_message(*decoded, *type);  // kinds travel outside of the message
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, *encoded);

    auto from_yaml = parse_yaml(to_yaml(*parsed), arena);
    ASSERT_TRUE(from_yaml) << from_yaml.error().message();
    EXPECT_TRUE(from_yaml->equals(*parsed));
  }
  EXPECT_GT(fields, 4500u);
}

TEST(AllTypes, HaveFieldsThatNoOtherFieldHides) {
  for (const Type* type : all_types()) {
    std::set<std::string_view> names;
    std::set<uint32_t> tags;
    for (const Field& field : type->fields) {
      EXPECT_FALSE(field.name.empty() && !field.inlined) << type->name;
      if (!field.inlined) {
        EXPECT_TRUE(names.insert(field.name).second) << type->name << " " << field.name;
      }
      if (field.tag != 0) {
        EXPECT_TRUE(tags.insert(field.tag).second) << type->name << " " << field.name;
      }
      EXPECT_EQ(field.kind == FieldKind::Message, field.type != nullptr) << type->name << " " << field.name;
      if (field.list_type == ListType::Map) {
        EXPECT_FALSE(field.list_map_keys.empty()) << type->name << " " << field.name;
      }
    }
  }
}
