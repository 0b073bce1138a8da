#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <cmath>
#include <istream>
#include <streambuf>

#include "base/encoding.h"
#include "schema/codec.h"
#include "schema/decode_helpers.h"
#include "schema/yaml.h"

namespace redoubt::schema {
namespace {

// Nodes that aliases may add to a document, so that a few lines can't become gigabytes.
constexpr size_t kMaxAliasedNodes = 100'000;
// Below where the parser itself stops (500), with room for any real object.
constexpr size_t kMaxYamlDepth = 400;

constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";

// What makes the parser stop: the message a user sees, and where.
struct YamlFailure {
  std::string message;
  int line;
};

// How much an anchored value adds to the document each time an alias stands for it.
struct Extent {
  size_t nodes = 0;
  size_t depth = 0;
};
Extent extent_of(const Value& value) {
  Extent out{1, 1};
  auto add = [&out](const Value& inner) {
    Extent extent = extent_of(inner);
    out.nodes += extent.nodes;
    out.depth = std::max(out.depth, extent.depth + 1);
  };
  for (const Value& item : items(value)) add(item);
  for (const Member& member : members(value)) add(member.value);
  return out;
}

// Builds a tree from the parser's events. Keys become strings as JSON wants them.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(Arena& arena, const DecodeLimits& limits, DecodeWarnings* warnings)
      : arena_(arena), max_depth_(std::min(limits.max_depth, kMaxYamlDepth)), warnings_(warnings) {}

  Value root;

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { add(mark, Value::null(), anchor); }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    add(mark, scalar(mark, tag, text), anchor, tag == "?" && text == "<<");
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto it = anchors_.find(anchor);
    if (it == anchors_.end()) throw YamlFailure{"an anchor contains an alias of itself", mark.line + 1};
    auto& [target, extent] = it->second;
    if (extent.nodes == 0) extent = extent_of(target);
    aliased_ += extent.nodes;
    if (stack_.size() + extent.depth > max_depth_) {
      throw YamlFailure{fmt::format("exceeded max depth of {}", max_depth_), mark.line + 1};
    }
    if (aliased_ > kMaxAliasedNodes) throw YamlFailure{"document contains excessive aliasing", mark.line + 1};
    add(mark, target.clone(arena_), 0);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, Value::array(arena_), anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, Value::object(arena_), anchor);
  }
  void OnMapEnd() override {
    Open& top = stack_.back();
    if (!top.merges.empty()) merge(top);
    close();
  }

 private:
  struct Open {
    Value value;
    YAML::anchor_t anchor;
    int line;
    bool has_key = false;
    bool is_merge = false;  // the key is <<
    std::string_view key;
    std::vector<Value> merges;
    std::unordered_map<std::string_view, size_t> places;  // of an object's keys
  };

  void open(const YAML::Mark& mark, Value value, YAML::anchor_t anchor) {
    if (stack_.size() >= max_depth_) {
      throw YamlFailure{fmt::format("exceeded max depth of {}", max_depth_), mark.line + 1};
    }
    if (!stack_.empty() && stack_.back().value.is_object() && !stack_.back().has_key) {
      throw YamlFailure{"a map or a list can't be a key", mark.line + 1};
    }
    Open opened;
    opened.value = value;
    opened.anchor = anchor;
    opened.line = mark.line + 1;
    stack_.push_back(std::move(opened));
  }

  void close() {
    Open done = std::move(stack_.back());
    stack_.pop_back();
    if (done.anchor != 0) anchors_[done.anchor] = {done.value, {}};
    place(done.value, done.line);
  }

  void add(const YAML::Mark& mark, Value value, YAML::anchor_t anchor, bool may_merge = false) {
    if (anchor != 0) anchors_[anchor] = {value, {}};
    if (!stack_.empty() && stack_.back().value.is_object() && !stack_.back().has_key) {
      Open& top = stack_.back();
      top.has_key = true;
      top.is_merge = may_merge;
      top.line = mark.line + 1;
      top.key = key_text(value, mark.line + 1);
      return;
    }
    place(value, mark.line + 1);
  }

  // Puts a finished value where it belongs.
  void place(Value value, int line) {
    if (stack_.empty()) {
      root = value;
      return;
    }
    Open& top = stack_.back();
    if (top.value.is_array()) {
      top.value.push_back(arena_, value);
      return;
    }
    top.has_key = false;
    if (top.is_merge) {
      for (const Value& item : items(value)) {
        if (!item.is_object()) throw YamlFailure{"map merge requires map or sequence of maps as the value", line};
      }
      if (!value.is_object() && !value.is_array()) {
        throw YamlFailure{"map merge requires map or sequence of maps as the value", line};
      }
      top.merges.push_back(value);
      return;
    }
    auto [it, added] = top.places.emplace(top.key, top.value.size());
    if (added) {
      top.value.append(arena_, top.key, value);
      return;
    }
    top.value.begin_members()[it->second].value = value;
    if (warnings_ != nullptr && warnings_->strict.size() < kMaxStrictWarnings) {
      warnings_->strict.push_back(fmt::format("line {}: key \"{}\" already set in map", top.line, top.key));
    }
  }

  // What `<<` brings in; a map's own keys and earlier merges win.
  void merge(Open& top) {
    auto take = [&](const Value& from) {
      for (const Member& member : members(from)) {
        if (top.places.emplace(member.key, top.value.size()).second) top.value.append(arena_, member.key, member.value);
      }
    };
    for (const Value& source : top.merges) {
      take(source);
      for (const Value& item : items(source)) take(item);
    }
  }

  std::string_view key_text(const Value& value, int line) {
    switch (value.kind()) {
      case Value::Kind::String:
        return value.as_string();
      case Value::Kind::Null:
        return "null";
      case Value::Kind::Bool:
      case Value::Kind::Int:
      case Value::Kind::Double:
        return arena_.copy(to_json(value, nullptr));
      default:
        throw YamlFailure{"a map or a list can't be a key", line};
    }
  }

  Value scalar(const YAML::Mark& mark, const std::string& tag, const std::string& text) {
    auto kept = [&] { return Value::string(clean_utf8(arena_.copy(text), arena_)); };
    if (tag == "?") {
      YamlScalar resolved = resolve_yaml_scalar(text);
      if (resolved.not_finite) throw YamlFailure{fmt::format("the number {} can't be JSON", text), mark.line + 1};
      return resolved.is_string ? kept() : resolved.value;
    }
    if (!std::string_view(tag).starts_with(kTagPrefix)) return kept();
    std::string_view kind = std::string_view(tag).substr(kTagPrefix.size());
    if (kind == "str" || kind == "timestamp") return kept();
    if (kind == "binary") {
      auto decoded = base64_decode(text);
      if (!decoded) throw YamlFailure{"!!binary value contains invalid base64 data", mark.line + 1};
      return Value::string(clean_utf8(arena_.copy(*decoded), arena_));
    }
    YamlScalar resolved = resolve_yaml_scalar(text);
    bool fits = !resolved.is_string && !resolved.not_finite &&
                ((kind == "null" && resolved.value.is_null()) || (kind == "bool" && resolved.value.is_bool()) ||
                 (kind == "int" && resolved.value.is_int()) || (kind == "float" && resolved.value.is_number()));
    if (!fits && (kind == "null" || kind == "bool" || kind == "int" || kind == "float")) {
      throw YamlFailure{fmt::format("cannot decode !!str `{}` as a !!{}", text.substr(0, 64), kind), mark.line + 1};
    }
    return fits ? resolved.value : kept();
  }

  Arena& arena_;
  size_t max_depth_;
  DecodeWarnings* warnings_;
  std::vector<Open> stack_;
  std::unordered_map<YAML::anchor_t, std::pair<Value, Extent>> anchors_;
  size_t aliased_ = 0;
};

// A stream over bytes that are there already.
class ViewBuffer : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());
    setg(begin, begin, begin + text.size());
  }
};

Error yaml_error(std::string_view message, int line) {
  return bad_request(fmt::format("error converting YAML to JSON: yaml: line {}: {}", line, message));
}

}  // namespace

Result<Value> parse_yaml(std::string_view text, Arena& arena, const DecodeLimits& limits, DecodeWarnings* warnings) {
  if (text.size() > limits.max_bytes) {
    return request_entity_too_large(
        fmt::format("the YAML text is {} bytes, the limit is {}", text.size(), limits.max_bytes));
  }
  try {
    ViewBuffer buffer(text);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    TreeBuilder tree(arena, limits, warnings);
    parser.HandleNextDocument(tree);
    TreeBuilder rest(arena, limits, nullptr);
    if (parser.HandleNextDocument(rest) && !rest.root.is_null()) {
      return bad_request("error converting YAML to JSON: one document is expected, there are more");
    }
    return tree.root;
  } catch (const YamlFailure& failure) {
    return yaml_error(failure.message, failure.line);
  } catch (const YAML::Exception& e) {
    return yaml_error(e.msg, e.mark.line + 1);
  }
}

}  // namespace redoubt::schema
