// What must hold for every object that a decoder and conform() let through.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "schema/codec.h"

namespace redoubt::schema {

inline void require(bool holds) {
  if (!holds) abort();
}

// A type by the input's first byte: deep, wide and odd ones.
inline const Type& fuzzed_type(uint8_t choice) {
  static constexpr std::string_view kNames[] = {
      "io.k8s.api.core.v1.Pod",
      "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
      "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
      "io.k8s.api.authentication.v1.TokenReview",
      "io.k8s.api.core.v1.Event",
      "io.k8s.api.core.v1.Secret",
      "io.k8s.api.core.v1.List",
      "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList"};
  return *find_type(kNames[choice % std::size(kNames)]);
}

// Canonical JSON is a fixed point: reading and writing it again, by JSON or by protobuf, changes nothing.
inline void check_conformed(const Value& value, const Type& type) {
  Arena arena;
  std::string json = to_json(value, &type);
  DecodeLimits limits{.max_bytes = SIZE_MAX};
  auto again = parse_json(json, arena, limits);
  require(again.has_value());
  DecodeWarnings warnings;
  require(conform(*again, type, arena, &warnings).has_value());
  require(warnings.strict.empty());
  require(to_json(*again, &type) == json);

  auto message = to_protobuf_message(value, type);
  require(message.has_value());
  auto back = parse_protobuf_message(*message, type, arena, limits);
  if (!back) return;  // deeper than protobuf may be
  require(conform(*back, type, arena).has_value());
  // Protobuf has no kind, and can't tell an empty list from none: its own form is the fixed point.
  auto message_again = to_protobuf_message(*back, type);
  require(message_again.has_value());
  auto back_again = parse_protobuf_message(*message_again, type, arena, limits);
  require(back_again.has_value() && conform(*back_again, type, arena).has_value());
  require(to_json(*back_again, &type) == to_json(*back, &type));
}

}  // namespace redoubt::schema
