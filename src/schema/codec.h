// Objects in and out: JSON, YAML and Kubernetes' protobuf on one side, Values on the other, by their schema.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "schema/type.h"
#include "schema/value.h"

namespace redoubt::schema {

struct DecodeLimits {
  size_t max_bytes = 3 * 1024 * 1024;
  size_t max_depth = 1000;  // upstream's JSON decoder stops at 10,000; protobuf and YAML far earlier
};

// What strict field validation complains of, with paths as upstream writes them: `unknown field "spec.foo"`,
// `duplicate field "spec.foo"`.
struct DecodeWarnings {
  std::vector<std::string> strict;
};

// Text to tree, no schema. BadRequest names what is wrong and where. Duplicate keys: the last wins, each noted in
// `warnings`.
Result<Value> parse_json(std::string_view text, Arena& arena, const DecodeLimits& limits = {},
                         DecodeWarnings* warnings = nullptr);
// YAML 1.2 as the API takes it: one document, JSON's types, aliases bounded.
Result<Value> parse_yaml(std::string_view text, Arena& arena, const DecodeLimits& limits = {},
                         DecodeWarnings* warnings = nullptr);
// "k8s\0" + runtime.Unknown; the tree gets apiVersion and kind. `type_of` finds the type by apiVersion and kind.
Result<Value> parse_protobuf(std::string_view bytes, Arena& arena,
                             const Type* (*type_of)(std::string_view api_version, std::string_view kind),
                             const DecodeLimits& limits = {});
// A bare message of `type`.
Result<Value> parse_protobuf_message(std::string_view bytes, const Type& type, Arena& arena,
                                     const DecodeLimits& limits = {});

// Makes a decoded tree conform to its type: checks each value's kind (BadRequest names the path: `json: cannot
// unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container` in upstream's words), drops
// unknown fields (noted in `warnings`), normalises numbers, quantities and times, and drops what omitempty drops. In
// place.
Result<void> conform(Value& value, const Type& type, Arena& arena, DecodeWarnings* warnings = nullptr);

// Canonical JSON: members in schema order, map keys sorted, no blanks, numbers normal. `type` null: members in their
// order. apiVersion and kind come first... as the schema has them (kind, apiVersion, metadata, spec, status).
void append_json(std::string& out, const Value& value, const Type* type);
std::string to_json(const Value& value, const Type* type);

// "k8s\0" + runtime.Unknown of an object, or a bare message.
Result<std::string> to_protobuf(const Value& value, const Type& type);
Result<std::string> to_protobuf_message(const Value& value, const Type& type);

// A metav1.WatchEvent as a protobuf watch stream frames it (without the length before it): `object` is what to_protobuf
// gave.
std::string watch_event_protobuf(std::string_view event_type, std::string_view object);

// YAML with sorted keys, as upstream answers application/yaml.
std::string to_yaml(const Value& value);

}  // namespace redoubt::schema
