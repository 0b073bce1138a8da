// A mutable JSON tree for the write path: decode, default, patch, apply, validate, admit; gone after the request.
//
// Nodes live in an Arena and are never freed one by one; a Value is a 16-byte handle into it that copies for free.
// Strings are views into the arena or into input bytes that outlive it. One request, one Arena, one thread.
#pragma once
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace redoubt::schema {

// Bump allocator. Blocks double from 4 KB; everything goes at once with the arena.
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  void* allocate(size_t bytes, size_t alignment = 8);
  // A copy of `text` that lives as long as the arena.
  std::string_view copy(std::string_view text);
  size_t used() const { return used_; }

 private:
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  size_t left_ = 0;
  size_t block_size_ = 4096;
  size_t used_ = 0;
};

class Value;
struct Member;

// Growable arrays of the arena, shared by every handle to the same node.
struct ArrayNode {
  Value* items = nullptr;
  uint32_t size = 0;
  uint32_t capacity = 0;
};
struct ObjectNode {
  Member* members = nullptr;
  uint32_t size = 0;
  uint32_t capacity = 0;
};

class Value {
 public:
  enum class Kind : uint8_t { Null, Bool, Int, Double, String, Array, Object };

  Value() = default;
  static Value null() { return {}; }
  static Value boolean(bool b) {
    Value v;
    v.kind_ = Kind::Bool;
    v.payload_.boolean = b;
    return v;
  }
  static Value integer(int64_t i) {
    Value v;
    v.kind_ = Kind::Int;
    v.payload_.integer = i;
    return v;
  }
  static Value number(double d) {
    Value v;
    v.kind_ = Kind::Double;
    v.payload_.number = d;
    return v;
  }
  // `text` must outlive the value: use the arena's copy() for anything temporary.
  static Value string(std::string_view text) {
    Value v;
    v.kind_ = Kind::String;
    v.size_ = static_cast<uint32_t>(text.size());
    v.payload_.text = text.data();
    return v;
  }
  static Value array(Arena& arena);
  static Value object(Arena& arena);

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::Null; }
  bool is_bool() const { return kind_ == Kind::Bool; }
  bool is_int() const { return kind_ == Kind::Int; }
  bool is_number() const { return kind_ == Kind::Int || kind_ == Kind::Double; }
  bool is_string() const { return kind_ == Kind::String; }
  bool is_array() const { return kind_ == Kind::Array; }
  bool is_object() const { return kind_ == Kind::Object; }

  // The value as that type; the fallback when it is another.
  bool as_bool(bool fallback = false) const { return is_bool() ? payload_.boolean : fallback; }
  int64_t as_int(int64_t fallback = 0) const { return is_int() ? payload_.integer : fallback; }
  double as_double(double fallback = 0) const {
    return kind_ == Kind::Double ? payload_.number : is_int() ? static_cast<double>(payload_.integer) : fallback;
  }
  std::string_view as_string(std::string_view fallback = {}) const {
    return is_string() ? std::string_view(payload_.text, size_) : fallback;
  }

  // Arrays and objects: number of items or members; 0 for anything else.
  size_t size() const { return is_array() ? payload_.array->size : is_object() ? payload_.object->size : 0; }
  bool empty() const { return size() == 0; }
  // Drops items or members from the end until `size` are left.
  void truncate(size_t size) const {
    if (is_array() && size < payload_.array->size) payload_.array->size = static_cast<uint32_t>(size);
    if (is_object() && size < payload_.object->size) payload_.object->size = static_cast<uint32_t>(size);
  }

  // Arrays.
  Value& at(size_t i) const { return payload_.array->items[i]; }
  void push_back(Arena& arena, Value item);
  void erase_at(size_t i);
  Value* begin_items() const { return is_array() ? payload_.array->items : nullptr; }
  Value* end_items() const { return is_array() ? payload_.array->items + payload_.array->size : nullptr; }

  // Objects. Members keep their order. find() gives null where there is none (or where this is no object).
  Value* find(std::string_view key) const;
  // find() along a path of keys: get({"metadata", "name"}).
  Value get(std::initializer_list<std::string_view> path) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }
  // Sets or adds. `key` is copied into the arena when it is new.
  Value& set(Arena& arena, std::string_view key, Value value);
  // Adds a member that is known not to be there yet, without looking. `key` must outlive the value.
  Value& append(Arena& arena, std::string_view key, Value value);
  // The member as an object, made when missing or null.
  Value& object_at(Arena& arena, std::string_view key);
  // True when there was one.
  bool erase(std::string_view key);
  Member* begin_members() const { return is_object() ? payload_.object->members : nullptr; }
  Member* end_members() const;

  // Deep copy into `arena`.
  Value clone(Arena& arena) const;
  // Deep equality; object members in any order; 1 equals 1.0.
  bool equals(const Value& other) const;

 private:
  Kind kind_ = Kind::Null;
  uint32_t size_ = 0;  // of a string
  union Payload {
    bool boolean;
    int64_t integer;
    double number;
    const char* text;
    ArrayNode* array;
    ObjectNode* object;
  } payload_{.integer = 0};
};
static_assert(sizeof(Value) == 16);

struct Member {
  std::string_view key;
  Value value;
};

inline Member* Value::end_members() const {
  return is_object() ? payload_.object->members + payload_.object->size : nullptr;
}

// Ranges for loops: for (Member& m : members(v)), for (Value& item : items(v)). Empty for anything else.
struct Members {
  Member* b;
  Member* e;
  Member* begin() const { return b; }
  Member* end() const { return e; }
};
struct Items {
  Value* b;
  Value* e;
  Value* begin() const { return b; }
  Value* end() const { return e; }
};
inline Members members(const Value& v) {
  return {v.begin_members(), v.end_members()};
}
inline Items items(const Value& v) {
  return {v.begin_items(), v.end_items()};
}

}  // namespace redoubt::schema
