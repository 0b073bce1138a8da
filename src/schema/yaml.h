// How YAML's plain scalars read: what the reader makes of them, and what the writer must therefore quote; no part of
// the folder's interface.
//
// Kubernetes reads YAML with a YAML 1.1 library (yes, on, 0644 as octal) and so do we.
#pragma once
#include <string_view>

#include "schema/value.h"

namespace redoubt::schema {

struct YamlScalar {
  bool is_string = false;   // `value` says nothing then
  bool not_finite = false;  // .inf and .nan, which JSON can't say
  Value value;
};
YamlScalar resolve_yaml_scalar(std::string_view text);

}  // namespace redoubt::schema
