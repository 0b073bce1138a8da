// Between trees and the generated structs (`k8s::core::v1::Pod`), by one constexpr table a struct.
//
// Generated structs are plain: public members named exactly as in JSON (C++ keywords get a trailing underscore:
// namespace_, template_, operator_, default_, continue_, ...), std::string, int32_t, int64_t, bool, double,
// std::vector, std::map<std::string, T>, nested structs by value; what is a pointer in Go is std::optional, or
// schema::Box where it is a struct. Quantity, IntOrString, Time, MicroTime, Duration and RawJson have small types of
// their own in schema/scalars.h. Kinds have apiVersion and kind members filled with their constants, `metadata`, and
// static constexpr kGroup, kVersion, kApiVersion, kKind, kResource (plural), kNamespaced.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "schema/codec.h"
#include "schema/type.h"
#include "schema/value.h"

namespace redoubt::schema {

struct StructTable;  // generated; see schema/struct_table.h

// Specialised by generated code for every struct.
template <class T>
const StructTable& struct_table();

Result<void> read_struct(const StructTable& table, const Value& value, void* object);
Value write_struct(const StructTable& table, const void* object, Arena& arena);
void append_struct_json(std::string& out, const StructTable& table, const void* object);
bool equal_structs(const StructTable& table, const void* a, const void* b);

template <class T>
Result<T> from_value(const Value& value) {
  T object;
  RD_TRYV(read_struct(struct_table<T>(), value, &object));
  return object;
}
template <class T>
Value to_value(const T& object, Arena& arena) {
  return write_struct(struct_table<T>(), &object, arena);
}
// Unknown fields are ignored, as clients do. No limit of size here: who received the text had one, and lists are large.
template <class T>
Result<T> from_json(std::string_view text) {
  Arena arena;
  RD_TRY(Value value, parse_json(text, arena, {.max_bytes = SIZE_MAX}));
  return from_value<T>(value);
}
template <class T>
std::string to_json(const T& object) {
  std::string out;
  append_struct_json(out, struct_table<T>(), &object);
  return out;
}
// Deep equality by schema (an empty list equals an absent one).
template <class T>
bool equal(const T& a, const T& b) {
  return equal_structs(struct_table<T>(), &a, &b);
}

}  // namespace redoubt::schema
