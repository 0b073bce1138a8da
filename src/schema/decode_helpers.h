// What the JSON, YAML and protobuf codecs share; no part of the folder's interface.
#pragma once
#include <string>
#include <string_view>

#include "schema/type.h"
#include "schema/value.h"

namespace redoubt::schema {

// As many strict complaints as one answer carries.
inline constexpr size_t kMaxStrictWarnings = 50;

// `text` itself when it is valid UTF-8, else a copy in the arena where each wrong byte is U+FFFD, as Go decodes it.
std::string_view clean_utf8(std::string_view text, Arena& arena);

// Where a member stands, as a chain of stack frames: building it costs nothing until somebody complains.
struct PathFrame {
  enum class Step : uint8_t { Field, Key, Item };
  const PathFrame* parent;
  Step step;
  std::string_view name;  // of a Field or a Key (of a map)
  size_t index = 0;       // of an Item
};
// `spec.containers[0].name`.
std::string path_text(const PathFrame* frame);
// `spec.containers.name`: how Go's decoder writes it, without items and keys of maps.
std::string field_path_text(const PathFrame* frame);

// JSONSchemaProps has fields whose JSON is one thing or another. Each is a message of its own in protobuf.
enum class JsonForm : uint8_t {
  Any,              // JSON: {bytes raw = 1}
  SchemaOrArray,    // {JSONSchemaProps schema = 1; repeated JSONSchemaProps jSONSchemas = 2}
  SchemaOrBool,     // {bool allows = 1; JSONSchemaProps schema = 2}
  SchemaOrStrings,  // {JSONSchemaProps schema = 1; repeated string property = 2}
};
// Of a field of kind Json. Where it is not Any, an object in it is of the field's owner's type again.
JsonForm json_form(const Type& owner, const Field& field);

// Of members with the same key the last stays, in the place of the first.
void keep_last_duplicates(Value& object);

}  // namespace redoubt::schema
