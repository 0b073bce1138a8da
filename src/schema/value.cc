#include "schema/value.h"

#include <algorithm>

namespace redoubt::schema {

void* Arena::allocate(size_t bytes, size_t alignment) {
  auto misaligned = reinterpret_cast<uintptr_t>(next_) & (alignment - 1);
  size_t padding = misaligned == 0 ? 0 : alignment - misaligned;
  if (bytes + padding > left_) {
    size_t size = std::max(block_size_, bytes + alignment);
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(size));
    next_ = blocks_.back().get();
    left_ = size;
    if (block_size_ < 256 * 1024) block_size_ *= 2;
    padding = 0;  // new[] aligns for anything
  }
  char* out = next_ + padding;
  next_ += bytes + padding;
  left_ -= bytes + padding;
  used_ += bytes;
  return out;
}

std::string_view Arena::copy(std::string_view text) {
  if (text.empty()) return {};
  char* out = static_cast<char*>(allocate(text.size(), 1));
  std::memcpy(out, text.data(), text.size());
  return {out, text.size()};
}

Value Value::array(Arena& arena) {
  Value v;
  v.kind_ = Kind::Array;
  v.payload_.array = new (arena.allocate(sizeof(ArrayNode))) ArrayNode();
  return v;
}

Value Value::object(Arena& arena) {
  Value v;
  v.kind_ = Kind::Object;
  v.payload_.object = new (arena.allocate(sizeof(ObjectNode))) ObjectNode();
  return v;
}

void Value::push_back(Arena& arena, Value item) {
  ArrayNode& node = *payload_.array;
  if (node.size == node.capacity) {
    uint32_t capacity = node.capacity == 0 ? 4 : node.capacity * 2;
    auto* grown = static_cast<Value*>(arena.allocate(capacity * sizeof(Value)));
    if (node.size > 0) std::memcpy(static_cast<void*>(grown), node.items, node.size * sizeof(Value));
    node.items = grown;
    node.capacity = capacity;
  }
  node.items[node.size++] = item;
}

void Value::erase_at(size_t i) {
  ArrayNode& node = *payload_.array;
  for (size_t k = i + 1; k < node.size; ++k) node.items[k - 1] = node.items[k];
  --node.size;
}

Value* Value::find(std::string_view key) const {
  char first = key.empty() ? '\0' : key[0];
  for (Member& member : members(*this)) {
    // Most keys differ in length or in their first letter: no call for those.
    if (member.key.size() != key.size() || (!key.empty() && member.key[0] != first)) continue;
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

Value Value::get(std::initializer_list<std::string_view> path) const {
  Value at = *this;
  for (std::string_view key : path) {
    Value* next = at.find(key);
    if (next == nullptr) return {};
    at = *next;
  }
  return at;
}

Value& Value::set(Arena& arena, std::string_view key, Value value) {
  if (Value* there = find(key)) {
    *there = value;
    return *there;
  }
  return append(arena, arena.copy(key), value);
}

Value& Value::append(Arena& arena, std::string_view key, Value value) {
  ObjectNode& node = *payload_.object;
  if (node.size == node.capacity) {
    uint32_t capacity = node.capacity == 0 ? 4 : node.capacity * 2;
    auto* grown = static_cast<Member*>(arena.allocate(capacity * sizeof(Member)));
    if (node.size > 0) std::memcpy(static_cast<void*>(grown), node.members, node.size * sizeof(Member));
    node.members = grown;
    node.capacity = capacity;
  }
  return (new (&node.members[node.size++]) Member{key, value})->value;
}

Value& Value::object_at(Arena& arena, std::string_view key) {
  Value* there = find(key);
  if (there != nullptr && there->is_object()) return *there;
  return set(arena, key, Value::object(arena));
}

bool Value::erase(std::string_view key) {
  if (!is_object()) return false;
  ObjectNode& node = *payload_.object;
  for (uint32_t i = 0; i < node.size; ++i) {
    if (node.members[i].key != key) continue;
    for (uint32_t k = i + 1; k < node.size; ++k) node.members[k - 1] = node.members[k];
    --node.size;
    return true;
  }
  return false;
}

Value Value::clone(Arena& arena) const {
  switch (kind_) {
    case Kind::String:
      return string(arena.copy(as_string()));
    case Kind::Array: {
      Value out = array(arena);
      for (const Value& item : items(*this)) out.push_back(arena, item.clone(arena));
      return out;
    }
    case Kind::Object: {
      Value out = object(arena);
      for (const Member& member : members(*this)) out.append(arena, arena.copy(member.key), member.value.clone(arena));
      return out;
    }
    default:
      return *this;
  }
}

namespace {

// Objects above this size are compared by a sorted list of keys, unless their members stand in the same order.
constexpr size_t kSmallObject = 32;

bool same_members(const Value& a, const Value& b) {
  if (a.size() != b.size()) return false;
  std::vector<const Member*> sorted;
  for (size_t i = 0; i < a.size(); ++i) {
    const Member& member = a.begin_members()[i];
    const Value* there = nullptr;
    if (b.begin_members()[i].key == member.key) {
      there = &b.begin_members()[i].value;
    } else if (b.size() <= kSmallObject) {
      there = b.find(member.key);
    } else {
      auto less = [](const Member* m, std::string_view key) { return m->key < key; };
      if (sorted.empty()) {
        for (const Member& m : members(b)) sorted.push_back(&m);
        std::sort(sorted.begin(), sorted.end(), [](const Member* x, const Member* y) { return x->key < y->key; });
      }
      auto it = std::lower_bound(sorted.begin(), sorted.end(), member.key, less);
      if (it != sorted.end() && (*it)->key == member.key) there = &(*it)->value;
    }
    if (there == nullptr || !member.value.equals(*there)) return false;
  }
  return true;
}

}  // namespace

bool Value::equals(const Value& other) const {
  if (is_number() && other.is_number()) {
    return is_int() && other.is_int() ? as_int() == other.as_int() : as_double() == other.as_double();
  }
  if (kind_ != other.kind_) return false;
  switch (kind_) {
    case Kind::Null:
      return true;
    case Kind::Bool:
      return as_bool() == other.as_bool();
    case Kind::String:
      return as_string() == other.as_string();
    case Kind::Array:
      if (size() != other.size()) return false;
      for (size_t i = 0; i < size(); ++i) {
        if (!at(i).equals(other.at(i))) return false;
      }
      return true;
    case Kind::Object:
      return same_members(*this, other);
    default:
      return false;
  }
}

}  // namespace redoubt::schema
