#include "schema/openapi_protobuf.h"

#include <span>

#include "schema/codec.h"
#include "schema/value.h"

namespace redoubt::schema {

namespace {

// How a JSON member becomes a field. Gnostic wraps where JSON has alternatives, so some shapes are messages of their
// own.
enum class Shape : uint8_t {
  Text,
  Flag,
  Whole,
  Number,
  Texts,         // repeated string
  Nested,        // one message
  NestedList,    // repeated message
  Raw,           // Any: the value as YAML
  RawList,       // repeated Any
  TextOrTexts,   // TypeItem
  SchemaOrMany,  // ItemsItem
  SchemaOrFlag,  // AdditionalPropertiesItem
  Parameters,    // repeated ParametersItem
  Requirements,  // repeated SecurityRequirement
};

struct Message;

struct Part {
  std::string_view name;
  uint32_t tag;
  Shape shape;
  const Message* (*message)() = nullptr;
};

struct Message {
  std::span<const Part> parts;
  uint32_t extensions = 0;              // repeated NamedAny of the members named x-...
  uint32_t others = 0;                  // repeated Named<other> of every further member
  const Message* (*other)() = nullptr;  // what a further member is
  uint32_t wrapped = 0;                 // the message is one field of a wrapper with alternatives
};

const Message* schema_message();
const Message* named_schemas();

constexpr Part kSchemaParts[] = {{"$ref", 1, Shape::Text},
                                 {"format", 2, Shape::Text},
                                 {"title", 3, Shape::Text},
                                 {"description", 4, Shape::Text},
                                 {"default", 5, Shape::Raw},
                                 {"multipleOf", 6, Shape::Number},
                                 {"maximum", 7, Shape::Number},
                                 {"exclusiveMaximum", 8, Shape::Flag},
                                 {"minimum", 9, Shape::Number},
                                 {"exclusiveMinimum", 10, Shape::Flag},
                                 {"maxLength", 11, Shape::Whole},
                                 {"minLength", 12, Shape::Whole},
                                 {"pattern", 13, Shape::Text},
                                 {"maxItems", 14, Shape::Whole},
                                 {"minItems", 15, Shape::Whole},
                                 {"uniqueItems", 16, Shape::Flag},
                                 {"maxProperties", 17, Shape::Whole},
                                 {"minProperties", 18, Shape::Whole},
                                 {"required", 19, Shape::Texts},
                                 {"enum", 20, Shape::RawList},
                                 {"additionalProperties", 21, Shape::SchemaOrFlag},
                                 {"type", 22, Shape::TextOrTexts},
                                 {"items", 23, Shape::SchemaOrMany},
                                 {"allOf", 24, Shape::NestedList, schema_message},
                                 {"properties", 25, Shape::Nested, named_schemas},
                                 {"example", 30, Shape::Raw}};
constexpr Message kSchema{kSchemaParts, 31};
const Message* schema_message() {
  return &kSchema;
}
constexpr Message kNamedSchemas{{}, 0, 1, schema_message};
const Message* named_schemas() {
  return &kNamedSchemas;
}

// Response.schema is a SchemaItem, of which a schema is field 1.
constexpr Message kSchemaItem{kSchemaParts, 31, 0, nullptr, 1};
constexpr Part kResponseParts[] = {{"description", 1, Shape::Text},
                                   {"schema", 2, Shape::Nested, [] { return &kSchemaItem; }}};
constexpr Message kResponse{kResponseParts, 5, 0, nullptr, 1};
constexpr Message kResponses{{}, 2, 1, [] { return &kResponse; }};

constexpr Part kBodyParts[] = {{"description", 1, Shape::Text},
                               {"name", 2, Shape::Text},
                               {"in", 3, Shape::Text},
                               {"required", 4, Shape::Flag},
                               {"schema", 5, Shape::Nested, schema_message}};
constexpr Message kBody{kBodyParts, 6};
constexpr Part kQueryParts[] = {{"required", 1, Shape::Flag},    {"in", 2, Shape::Text},
                                {"description", 3, Shape::Text}, {"name", 4, Shape::Text},
                                {"type", 6, Shape::Text},        {"format", 7, Shape::Text},
                                {"default", 10, Shape::Raw},     {"uniqueItems", 20, Shape::Flag}};
constexpr Message kQuery{kQueryParts, 23};
constexpr Part kPathParts[] = {{"required", 1, Shape::Flag},    {"in", 2, Shape::Text},
                               {"description", 3, Shape::Text}, {"name", 4, Shape::Text},
                               {"type", 5, Shape::Text},        {"format", 6, Shape::Text},
                               {"default", 9, Shape::Raw},      {"uniqueItems", 19, Shape::Flag}};
constexpr Message kPath{kPathParts, 22};

constexpr Part kOperationParts[] = {{"tags", 1, Shape::Texts},
                                    {"summary", 2, Shape::Text},
                                    {"description", 3, Shape::Text},
                                    {"operationId", 5, Shape::Text},
                                    {"produces", 6, Shape::Texts},
                                    {"consumes", 7, Shape::Texts},
                                    {"parameters", 8, Shape::Parameters},
                                    {"responses", 9, Shape::Nested, [] { return &kResponses; }},
                                    {"schemes", 10, Shape::Texts},
                                    {"deprecated", 11, Shape::Flag},
                                    {"security", 12, Shape::Requirements}};
constexpr Message kOperation{kOperationParts, 13};
const Message* operation_message() {
  return &kOperation;
}
constexpr Part kPathItemParts[] = {
    {"get", 2, Shape::Nested, operation_message},     {"put", 3, Shape::Nested, operation_message},
    {"post", 4, Shape::Nested, operation_message},    {"delete", 5, Shape::Nested, operation_message},
    {"options", 6, Shape::Nested, operation_message}, {"head", 7, Shape::Nested, operation_message},
    {"patch", 8, Shape::Nested, operation_message},   {"parameters", 9, Shape::Parameters}};
constexpr Message kPathItem{kPathItemParts, 10};
constexpr Message kPaths{{}, 1, 2, [] { return &kPathItem; }};

constexpr Part kApiKeyParts[] = {
    {"type", 1, Shape::Text}, {"name", 2, Shape::Text}, {"in", 3, Shape::Text}, {"description", 4, Shape::Text}};
constexpr Message kApiKey{kApiKeyParts, 5, 0, nullptr, 2};
constexpr Message kSecurityDefinitions{{}, 0, 1, [] { return &kApiKey; }};
constexpr Part kInfoParts[] = {{"title", 1, Shape::Text}, {"version", 2, Shape::Text}, {"description", 3, Shape::Text}};
constexpr Message kInfo{kInfoParts, 7};
constexpr Part kDocumentParts[] = {{"swagger", 1, Shape::Text},
                                   {"info", 2, Shape::Nested, [] { return &kInfo; }},
                                   {"paths", 8, Shape::Nested, [] { return &kPaths; }},
                                   {"definitions", 9, Shape::Nested, named_schemas},
                                   {"security", 12, Shape::Requirements},
                                   {"securityDefinitions", 13, Shape::Nested, [] { return &kSecurityDefinitions; }}};
constexpr Message kDocument{kDocumentParts, 16};

void append_varint(std::string& out, uint64_t n) {
  for (; n >= 0x80; n >>= 7) out += static_cast<char>(n | 0x80);
  out += static_cast<char>(n);
}
void append_field(std::string& out, uint32_t tag, std::string_view bytes) {
  append_varint(out, tag << 3 | 2);
  append_varint(out, bytes.size());
  out += bytes;
}
void append_number(std::string& out, uint32_t tag, uint64_t n) {
  append_varint(out, tag << 3);
  append_varint(out, n);
}

// Any { string yaml = 2; }; JSON is YAML.
std::string any_of(const Value& value) {
  std::string out;
  append_field(out, 2, to_json(value, nullptr) + "\n");
  return out;
}

class Encoder {
 public:
  std::string message(const Value& value, const Message& m) {
    std::string out;
    for (const Member& member : members(value)) {
      const Part* part = nullptr;
      for (const Part& p : m.parts) {
        if (p.name == member.key) part = &p;
      }
      if (part != nullptr) {
        field(out, *part, member.value);
      } else if (m.extensions != 0 && member.key.starts_with("x-")) {
        named(out, m.extensions, member.key, any_of(member.value));
      } else if (m.others != 0) {
        named(out, m.others, member.key, message(member.value, *m.other()));
      } else if (unknown_.empty()) {
        unknown_ = member.key;
      }
    }
    if (m.wrapped == 0) return out;
    std::string wrapper;
    append_field(wrapper, m.wrapped, out);
    return wrapper;
  }
  // The first member that no message has a field for.
  const std::string& unknown() const { return unknown_; }

 private:
  void field(std::string& out, const Part& part, const Value& value) {
    switch (part.shape) {
      case Shape::Text:
        return append_field(out, part.tag, value.as_string());
      case Shape::Flag:
        return append_number(out, part.tag, value.as_bool() ? 1 : 0);
      case Shape::Whole:
        return append_number(out, part.tag, static_cast<uint64_t>(value.as_int()));
      case Shape::Number: {
        append_varint(out, part.tag << 3 | 1);
        double number = value.as_double();
        char bytes[sizeof number];
        std::memcpy(bytes, &number, sizeof number);
        out.append(bytes, sizeof bytes);
        return;
      }
      case Shape::Texts:
        for (const Value& item : items(value)) append_field(out, part.tag, item.as_string());
        return;
      case Shape::Nested:
        return append_field(out, part.tag, message(value, *part.message()));
      case Shape::NestedList:
        for (const Value& item : items(value)) append_field(out, part.tag, message(item, *part.message()));
        return;
      case Shape::Raw:
        return append_field(out, part.tag, any_of(value));
      case Shape::RawList:
        for (const Value& item : items(value)) append_field(out, part.tag, any_of(item));
        return;
      case Shape::TextOrTexts: {
        std::string types;
        if (value.is_string()) append_field(types, 1, value.as_string());
        for (const Value& item : items(value)) append_field(types, 1, item.as_string());
        return append_field(out, part.tag, types);
      }
      case Shape::SchemaOrMany: {
        std::string schemas;
        if (value.is_object()) append_field(schemas, 1, message(value, kSchema));
        for (const Value& item : items(value)) append_field(schemas, 1, message(item, kSchema));
        return append_field(out, part.tag, schemas);
      }
      case Shape::SchemaOrFlag: {
        std::string either;
        if (value.is_object()) {
          append_field(either, 1, message(value, kSchema));
        } else {
          append_number(either, 2, value.as_bool() ? 1 : 0);
        }
        return append_field(out, part.tag, either);
      }
      case Shape::Parameters:
        for (const Value& item : items(value)) append_field(out, part.tag, parameter(item));
        return;
      case Shape::Requirements:
        for (const Value& item : items(value)) {
          std::string requirement;
          for (const Member& scheme : members(item)) {
            std::string scopes;
            for (const Value& scope : items(scheme.value)) append_field(scopes, 1, scope.as_string());
            named(requirement, 1, scheme.key, scopes);
          }
          append_field(out, part.tag, requirement);
        }
        return;
    }
  }

  // ParametersItem { Parameter parameter = 1 { BodyParameter = 1 or NonBodyParameter = 2 { query = 3 or path = 4 } } }
  std::string parameter(const Value& value) {
    std::string_view in = value.get({"in"}).as_string();
    std::string inner, out;
    if (in == "body") {
      append_field(inner, 1, message(value, kBody));
    } else {
      std::string other;
      append_field(other, in == "path" ? 4 : 3, message(value, in == "path" ? kPath : kQuery));
      append_field(inner, 2, other);
    }
    append_field(out, 1, inner);
    return out;
  }

  static void named(std::string& out, uint32_t tag, std::string_view name, std::string_view value) {
    std::string pair;
    append_field(pair, 1, name);
    append_field(pair, 2, value);
    append_field(out, tag, pair);
  }

  std::string unknown_;
};

}  // namespace

Result<std::string> openapi_v2_protobuf(std::string_view json) {
  Arena arena;
  RD_TRY(Value document, parse_json(json, arena, {.max_bytes = SIZE_MAX}));
  Encoder encoder;
  std::string out = encoder.message(document, kDocument);
  if (!encoder.unknown().empty())
    return internal_error(
        fmt::format("the OpenAPI document has a member \"{}\" with no place in its protobuf form", encoder.unknown()));
  return out;
}

}  // namespace redoubt::schema
