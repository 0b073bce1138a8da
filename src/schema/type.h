// What a type of the API is: one representation for built-in types (generated from upstream's .proto and Go files) and
// custom ones (compiled from a CRD's schema). Everything generic (defaulting, unknown fields, patches, OpenAPI,
// explain, protobuf, tables) walks this and is written once.
//
// Types are immutable and live for ever (built-in) or as long as their CRD's compiled schema. Any thread.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace redoubt::schema {

enum class FieldKind : uint8_t {
  Bool,
  Int32,
  Int64,
  Double,
  String,
  Bytes,     // base64 in JSON
  Message,   // `type` says which
  Quantity,  // "100m"
  IntOrString,
  Time,  // RFC 3339, seconds
  MicroTime,
  Duration,      // Go's text, "1h0m0s"
  RawExtension,  // any JSON object
  FieldsV1,      // the JSON of managed fields
  Json,          // any JSON value (apiextensions JSON, JSONSchemaPropsOr...)
};

enum class ListType : uint8_t { None, Atomic, Set, Map };

struct Type;

struct Field {
  std::string_view name;  // as in JSON
  uint32_t tag = 0;       // protobuf field number; 0: none (custom types)
  FieldKind kind = FieldKind::String;
  bool repeated = false;   // a list of `kind`
  bool map = false;        // a map from string to `kind` (or to a list of it, when `repeated` too)
  bool required = false;   // no +optional and no omitempty
  bool pointer = false;    // Go pointer: absent and zero differ
  bool omitempty = false;  // a zero value (false, 0, "", empty list or map) is left out of JSON
  bool inlined = false;    // JSON shows its members in the parent (Go's `json:",inline"`)
  ListType list_type = ListType::None;
  bool map_atomic = false;   // +mapType=atomic or +structType=atomic
  bool patch_merge = false;  // patchStrategy has "merge"
  bool patch_retain_keys = false;
  bool nullable = false;
  std::string_view patch_merge_key;
  std::span<const std::string_view> list_map_keys;
  std::string_view default_json;  // "" : none
  std::span<const std::string_view> enum_values;
  const Type* type = nullptr;  // kind Message
  uint32_t doc = 0;            // documentation(doc) gives its text
};

struct Type {
  std::string_view name;          // OpenAPI's: "io.k8s.api.core.v1.Pod"
  std::string_view proto_name;    // "k8s.io.api.core.v1.Pod"; empty for custom types
  std::span<const Field> fields;  // in schema order: the canonical order of JSON members
  uint32_t doc = 0;
  bool preserve_unknown = false;  // custom types: x-kubernetes-preserve-unknown-fields
  // A message whose JSON is its single repeated field (`items`): ExtraValue, Verbs, ...
  bool list_wrapper = false;
  const void* extension = nullptr;  // custom types: the rest of their JSON schema
};

// By JSON name, inlined fields' members included; null when there is none. `path` (optional) gets the inlined parents.
const Field* find_field(const Type& type, std::string_view json_name);
const Field* find_field_by_tag(const Type& type, uint32_t tag);

// The built-in type of that OpenAPI name or proto name; null when there is none.
const Type* find_type(std::string_view name);
// All built-in types, sorted by name.
std::span<const Type* const> all_types();
// The documentation text of a `doc` number; loaded from its compressed form on first use and kept. 0 gives "".
std::string_view documentation(uint32_t doc);

}  // namespace redoubt::schema
