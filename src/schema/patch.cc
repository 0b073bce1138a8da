#include "schema/patch.h"

#include <charconv>
#include <vector>

#include "schema/codec.h"

namespace redoubt::schema {

namespace {

constexpr size_t kMaxOperations = 10'000;
constexpr size_t kMaxResultBytes = 16 * 1024 * 1024;  // what repeated copies may grow a document to

Value merge(const Value& target, const Value& patch, Arena& arena) {
  if (!patch.is_object()) return patch.clone(arena);
  Value out = target.is_object() ? target.clone(arena) : Value::object(arena);
  for (const Member& member : members(patch)) {
    if (member.value.is_null()) {
      out.erase(member.key);
    } else {
      Value* there = out.find(member.key);
      out.set(arena, member.key, merge(there == nullptr ? Value::null() : *there, member.value, arena));
    }
  }
  return out;
}

// ---- RFC 6902 ----

Result<std::vector<std::string>> parse_pointer(std::string_view text) {
  std::vector<std::string> out;
  if (text.empty()) return out;
  if (text[0] != '/')
    return bad_request(fmt::format("json patch: the path \"{}\" must begin with /", text.substr(0, 200)));
  while (!text.empty()) {
    text.remove_prefix(1);
    size_t slash = text.find('/');
    std::string token;
    std::string_view raw = text.substr(0, slash);
    for (size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] == '~' && i + 1 < raw.size() && (raw[i + 1] == '0' || raw[i + 1] == '1')) {
        token += raw[++i] == '0' ? '~' : '/';
      } else {
        token += raw[i];
      }
    }
    out.push_back(std::move(token));
    text = slash == std::string_view::npos ? std::string_view() : text.substr(slash);
  }
  return out;
}

bool parse_index(const std::string& token, size_t& into) {
  if (token.empty() || (token.size() > 1 && token[0] == '0')) return false;
  auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), into);
  return error == std::errc() && end == token.data() + token.size();
}

Value* resolve(Value& root, const std::vector<std::string>& path, size_t depth) {
  Value* at = &root;
  for (size_t i = 0; i < depth; ++i) {
    if (at->is_array()) {
      size_t index = 0;
      if (!parse_index(path[i], index) || index >= at->size()) return nullptr;
      at = &at->at(index);
    } else {
      at = at->find(path[i]);
      if (at == nullptr) return nullptr;
    }
  }
  return at;
}

Error cannot_apply(std::string_view op, std::string_view path, std::string_view why) {
  return Error(Status(422, "Invalid",
                      fmt::format("the server rejected our request due to an error in our request: {} operation does "
                                  "not apply: doc is missing {}: \"{}\"",
                                  op, why, path)));
}

bool insert(Value& array, size_t index, Value value, Arena& arena) {
  if (index > array.size()) return false;
  array.push_back(arena, value);
  for (size_t i = array.size() - 1; i > index; --i) std::swap(array.at(i), array.at(i - 1));
  return true;
}

Result<void> add(Value& root, std::string_view op, std::string_view text, Value value, Arena& arena) {
  RD_TRY(auto path, parse_pointer(text));
  if (path.empty()) {
    root = value;
    return {};
  }
  Value* parent = resolve(root, path, path.size() - 1);
  if (parent == nullptr) return cannot_apply(op, text, "path");
  if (parent->is_array()) {
    size_t index = parent->size();
    if (path.back() != "-" && !parse_index(path.back(), index)) return cannot_apply(op, text, "index");
    if (!insert(*parent, index, value, arena)) return cannot_apply(op, text, "index");
    return {};
  }
  if (!parent->is_object()) return cannot_apply(op, text, "path");
  parent->set(arena, path.back(), value);
  return {};
}

Result<Value> take(Value& root, std::string_view op, std::string_view text, bool remove) {
  RD_TRY(auto path, parse_pointer(text));
  Value* there = resolve(root, path, path.size());
  if (there == nullptr) return cannot_apply(op, text, "key");
  Value value = *there;
  if (remove && !path.empty()) {
    Value* parent = resolve(root, path, path.size() - 1);
    if (parent->is_array()) {
      size_t index = 0;
      parse_index(path.back(), index);
      parent->erase_at(index);
    } else {
      parent->erase(path.back());
    }
  }
  return value;
}

}  // namespace

Value json_merge_patch(const Value& target, const Value& patch, Arena& arena) {
  return merge(target, patch, arena);
}

Result<Value> json_patch(const Value& target, const Value& patch, Arena& arena) {
  if (!patch.is_array()) return bad_request("error decoding patch: a JSON patch is a list of operations");
  if (patch.size() > kMaxOperations) {
    return request_entity_too_large(
        fmt::format("the allowed maximum operations in a JSON patch is {}, got {}", kMaxOperations, patch.size()));
  }
  Value root = target.clone(arena);
  size_t start = arena.used();
  for (const Value& step : items(patch)) {
    std::string_view op = step.get({"op"}).as_string(), path = step.get({"path"}).as_string(),
                     from = step.get({"from"}).as_string();
    if (!step.get({"path"}).is_string()) return bad_request("error decoding patch: an operation has no path");
    const Value* value = step.find("value");
    if ((op == "add" || op == "replace" || op == "test") && value == nullptr)
      return bad_request(fmt::format("error decoding patch: the {} operation has no value", op));
    if (op == "add") {
      RD_TRYV(add(root, op, path, value->clone(arena), arena));
    } else if (op == "replace") {
      RD_TRYV(take(root, op, path, true));
      RD_TRYV(add(root, op, path, value->clone(arena), arena));
    } else if (op == "remove") {
      RD_TRYV(take(root, op, path, true));
    } else if (op == "move" || op == "copy") {
      RD_TRY(Value moved, take(root, op, from, op == "move"));
      RD_TRYV(add(root, op, path, moved.clone(arena), arena));
    } else if (op == "test") {
      auto there = take(root, op, path, false);
      if (!(there ? *there : Value::null()).equals(*value)) {
        return Error(Status(
            422, "Invalid",
            fmt::format("the server rejected our request due to an error in our request: testing value {} failed",
                        path)));
      }
    } else {
      return bad_request(fmt::format("error decoding patch: unexpected kind of operation: \"{}\"", op));
    }
    if (arena.used() - start > kMaxResultBytes)
      return request_entity_too_large("the JSON patch makes the document too large");
  }
  return root;
}

// ---- strategic merge ----

namespace {

constexpr std::string_view kDirective = "$patch";
constexpr std::string_view kRetainKeys = "$retainKeys";
constexpr std::string_view kDeletePrimitive = "$deleteFromPrimitiveList/";
constexpr std::string_view kSetOrder = "$setElementOrder/";

Result<Value> merge_object(const Value& target, const Value& patch, const Type* type, Arena& arena, int depth);

// Orders `list` as `order` says; items that it does not name keep their place after those before them.
void reorder(Value& list, const Value& order, std::string_view key, Arena& arena) {
  Value out = Value::array(arena);
  auto same = [&](const Value& item, const Value& wanted) {
    return key.empty() ? item.equals(wanted) : item.get({key}).equals(wanted.get({key}));
  };
  auto named = [&](const Value& item) {
    for (const Value& o : items(order)) {
      if (same(item, o)) return true;
    }
    return false;
  };
  std::vector<Value> unnamed;
  for (const Value& item : items(list)) {
    if (!named(item)) unnamed.push_back(item);
  }
  size_t next = 0;
  // An unnamed item goes before the first named one that stood after it.
  auto position = [&](const Value& wanted) {
    for (size_t i = 0; i < list.size(); ++i) {
      if (same(list.at(i), wanted)) return i;
    }
    return list.size();
  };
  auto position_of = [&](const Value& item) {
    for (size_t i = 0; i < list.size(); ++i) {
      if (list.at(i).equals(item)) return i;
    }
    return list.size();
  };
  for (const Value& o : items(order)) {
    size_t at = position(o);
    if (at == list.size()) continue;
    while (next < unnamed.size() && position_of(unnamed[next]) < at) out.push_back(arena, unnamed[next++]);
    out.push_back(arena, list.at(at));
  }
  while (next < unnamed.size()) out.push_back(arena, unnamed[next++]);
  list = out;
}

Result<Value> merge_list(const Value& target, const Value& patch, const Field& field, Arena& arena, int depth) {
  if (field.type == nullptr) {
    // Primitives: a set.
    Value out = target.is_array() ? target.clone(arena) : Value::array(arena);
    for (const Value& item : items(patch)) {
      bool there = false;
      for (const Value& o : items(out)) there = there || o.equals(item);
      if (!there) out.push_back(arena, item.clone(arena));
    }
    return out;
  }
  std::string_view key = field.patch_merge_key;
  bool replace = false;
  for (const Value& item : items(patch)) {
    if (!item.is_object())
      return bad_request(fmt::format("strategic merge patch: an item of \"{}\" is no object", field.name));
    replace = replace || (item.get({kDirective}).as_string() == "replace");
  }
  Value out = target.is_array() && !replace ? target.clone(arena) : Value::array(arena);
  for (const Value& item : items(patch)) {
    std::string_view directive = item.get({kDirective}).as_string();
    if (directive == "replace") {
      if (item.size() == 1) continue;  // only the directive
      Value plain = item.clone(arena);
      plain.erase(kDirective);
      out.push_back(arena, plain);
      continue;
    }
    const Value* id = item.find(key);
    if (id == nullptr)
      return bad_request(
          fmt::format("map: {} does not contain declared merge key: {}", to_json(item, nullptr).substr(0, 200), key));
    if (directive == "delete") {
      for (size_t i = out.size(); i-- > 0;) {
        if (out.at(i).get({key}).equals(*id)) out.erase_at(i);
      }
      continue;
    }
    if (!directive.empty() && directive != "merge")
      return bad_request(fmt::format("unknown patch type: {}", directive));
    bool merged = false;
    for (Value& there : items(out)) {
      if (!there.get({key}).equals(*id)) continue;
      RD_TRY(there, merge_object(there, item, field.type, arena, depth + 1));
      merged = true;
      break;
    }
    if (merged) continue;
    RD_TRY(Value fresh, merge_object(Value::object(arena), item, field.type, arena, depth + 1));
    out.push_back(arena, fresh);
  }
  return out;
}

Result<Value> merge_object(const Value& target, const Value& patch, const Type* type, Arena& arena, int depth) {
  if (depth > 100) return bad_request("strategic merge patch: nested too deeply");
  if (!patch.is_object()) return patch.clone(arena);
  std::string_view directive = patch.get({kDirective}).as_string();
  if (directive == "replace") {
    Value out = patch.clone(arena);
    out.erase(kDirective);
    return out;
  }
  if (directive == "delete") return Value::object(arena);
  if (!directive.empty() && directive != "merge") return bad_request(fmt::format("unknown patch type: {}", directive));
  Value out = target.is_object() ? target.clone(arena) : Value::object(arena);
  if (const Value* retain = patch.find(kRetainKeys); retain != nullptr && retain->is_array()) {
    Value kept = Value::object(arena);
    for (const Member& member : members(out)) {
      for (const Value& name : items(*retain)) {
        if (name.as_string() == member.key) kept.append(arena, member.key, member.value);
      }
    }
    out = kept;
  }
  for (const Member& member : members(patch)) {
    std::string_view key = member.key;
    if (key == kDirective || key == kRetainKeys || key.starts_with(kSetOrder)) continue;
    if (key.starts_with(kDeletePrimitive)) {
      std::string_view name = key.substr(kDeletePrimitive.size());
      if (Value* list = out.find(name); list != nullptr && list->is_array()) {
        for (size_t i = list->size(); i-- > 0;) {
          for (const Value& gone : items(member.value)) {
            if (list->at(i).equals(gone)) {
              list->erase_at(i);
              break;
            }
          }
        }
      }
      continue;
    }
    if (member.value.is_null()) {
      out.erase(key);
      continue;
    }
    const Field* field = type == nullptr ? nullptr : find_field(*type, key);
    Value* there = out.find(key);
    if (member.value.is_array()) {
      if (field != nullptr && field->patch_merge && field->repeated) {
        RD_TRY(Value merged, merge_list(there == nullptr ? Value::null() : *there, member.value, *field, arena, depth));
        out.set(arena, key, merged);
      } else {
        out.set(arena, key, member.value.clone(arena));
      }
    } else if (member.value.is_object()) {
      const Type* below = field == nullptr || field->map ? nullptr : field->type;
      RD_TRY(Value merged,
             merge_object(there == nullptr ? Value::null() : *there, member.value, below, arena, depth + 1));
      out.set(arena, key, merged);
    } else {
      out.set(arena, key, member.value.clone(arena));
    }
  }
  for (const Member& member : members(patch)) {
    if (!member.key.starts_with(kSetOrder)) continue;
    std::string_view name = member.key.substr(kSetOrder.size());
    const Field* field = type == nullptr ? nullptr : find_field(*type, name);
    if (Value* list = out.find(name); list != nullptr && list->is_array() && member.value.is_array()) {
      reorder(*list, member.value,
              field == nullptr || field->type == nullptr ? std::string_view() : field->patch_merge_key, arena);
    }
  }
  return out;
}

}  // namespace

Result<Value> strategic_merge_patch(const Value& target, const Value& patch, const Type& type, Arena& arena) {
  if (!patch.is_object()) return bad_request("error decoding patch: a strategic merge patch is an object");
  return merge_object(target, patch, &type, arena, 0);
}

}  // namespace redoubt::schema
