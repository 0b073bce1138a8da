// How the one codec reaches a generated struct's members: a table row a member, and type-erased operations for
// optionals, lists and maps. Generated code fills the tables; nothing else uses this header.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schema/scalars.h"
#include "schema/type.h"

namespace redoubt::schema {

enum class Shape : uint8_t { Plain, Optional, List, Map };

// What can be done with a container whose element type is erased. Unused entries are null.
struct ShapeOps {
  size_t (*size)(const void* container);
  const void* (*at)(const void* container, size_t i);      // List; Optional: i = 0
  void* (*append)(void* container);                        // List; Optional: emplace
  void* (*insert)(void* container, std::string_view key);  // Map
  void (*reserve)(void* container, size_t size);           // List
  void (*visit)(const void* container, void* context,
                void (*each)(void* context, const std::string& key, const void* value));  // Map
};

struct StructTable;

struct StructField {
  std::string_view name;
  FieldKind kind;
  Shape shape;
  bool omitempty;
  uint32_t offset;
  const ShapeOps* ops;
  const StructTable& (*table)();  // of a Message
};

struct StructTable {
  std::string_view name;
  std::span<const StructField> fields;
  bool list_wrapper;
};

template <class T>
inline constexpr ShapeOps list_ops = {
    [](const void* c) { return static_cast<const std::vector<T>*>(c)->size(); },
    [](const void* c, size_t i) -> const void* { return &(*static_cast<const std::vector<T>*>(c))[i]; },
    [](void* c) -> void* { return &static_cast<std::vector<T>*>(c)->emplace_back(); },
    nullptr,
    [](void* c, size_t size) { static_cast<std::vector<T>*>(c)->reserve(size); },
    nullptr};

template <class T>
inline constexpr ShapeOps optional_ops = {
    [](const void* c) -> size_t { return static_cast<const std::optional<T>*>(c)->has_value() ? 1 : 0; },
    [](const void* c, size_t) -> const void* { return &**static_cast<const std::optional<T>*>(c); },
    [](void* c) -> void* { return &static_cast<std::optional<T>*>(c)->emplace(); },
    nullptr,
    nullptr,
    nullptr};

template <class T>
inline constexpr ShapeOps box_ops = {
    [](const void* c) -> size_t { return static_cast<const Box<T>*>(c)->has_value() ? 1 : 0; },
    [](const void* c, size_t) -> const void* { return &**static_cast<const Box<T>*>(c); },
    [](void* c) -> void* { return &static_cast<Box<T>*>(c)->emplace(); },
    nullptr,
    nullptr,
    nullptr};

template <class T>
inline constexpr ShapeOps map_ops = {
    [](const void* c) { return static_cast<const std::map<std::string, T>*>(c)->size(); },
    nullptr,
    nullptr,
    [](void* c, std::string_view key) -> void* {
      return &(*static_cast<std::map<std::string, T>*>(c))[std::string(key)];
    },
    nullptr,
    [](const void* c, void* context, void (*each)(void*, const std::string&, const void*)) {
      for (const auto& [key, value] : *static_cast<const std::map<std::string, T>*>(c)) each(context, key, &value);
    }};

}  // namespace redoubt::schema
