#include "apiserver/auth/config_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/auth/limits.h"
#include "base/time.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

using schema::Value;

void ConfigProblems::required(const std::string& path, std::string_view why) {
  add(why.empty() ? path + ": Required value" : fmt::format("{}: Required value: {}", path, why));
}
void ConfigProblems::invalid(const std::string& path, std::string_view value, std::string_view why) {
  add(fmt::format("{}: Invalid value: \"{}\": {}", path, value, why));
}
void ConfigProblems::duplicate(const std::string& path, std::string_view value) {
  add(fmt::format("{}: Duplicate value: \"{}\"", path, value));
}
void ConfigProblems::not_supported(const std::string& path, std::string_view value, std::string_view supported) {
  add(fmt::format("{}: Unsupported value: \"{}\": supported values: {}", path, value, supported));
}
Error ConfigProblems::error() const {
  std::string text;
  for (const std::string& one : all_) text += (text.empty() ? "" : "\n  ") + one;
  return bad_request(text);
}

ConfigObject::ConfigObject(const Value& value, std::string path, std::initializer_list<std::string_view> known,
                           ConfigProblems& problems)
    : path_(std::move(path)), problems_(problems) {
  if (value.is_null()) return;
  if (!value.is_object()) {
    problems_.add(path_ + ": an object is wanted");
    return;
  }
  value_ = value;
  for (const schema::Member& member : schema::members(value_)) {
    if (std::find(known.begin(), known.end(), member.key) == known.end())
      problems_.add(fmt::format("unknown field \"{}\"", path_of(member.key)));
  }
}

std::string ConfigObject::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
}
bool ConfigObject::has(std::string_view name) const {
  const Value* v = value_.find(name);
  return v != nullptr && !v->is_null();
}
std::string ConfigObject::text(std::string_view name) const {
  Value v = value_.get({name});
  if (!v.is_null() && !v.is_string()) problems_.add(path_of(name) + ": a string is wanted");
  return std::string(v.as_string());
}
std::optional<bool> ConfigObject::boolean(std::string_view name) const {
  Value v = value_.get({name});
  if (v.is_bool()) return v.as_bool();
  if (!v.is_null()) problems_.add(path_of(name) + ": true or false is wanted");
  return {};
}
std::optional<std::chrono::nanoseconds> ConfigObject::duration(std::string_view name) const {
  Value v = value_.get({name});
  if (v.is_null()) return {};
  auto parsed = v.is_string() ? parse_go_duration(v.as_string()) : std::nullopt;
  if (!parsed) problems_.add(path_of(name) + ": a duration is wanted, like \"30s\"");
  return parsed;
}
std::vector<Value> ConfigObject::list(std::string_view name) const {
  Value v = value_.get({name});
  if (!v.is_null() && !v.is_array()) problems_.add(path_of(name) + ": a list is wanted");
  std::vector<Value> out;
  for (const Value& item : schema::items(v)) out.push_back(item);
  return out;
}
std::vector<std::string> ConfigObject::texts(std::string_view name) const {
  std::vector<std::string> out;
  for (const Value& item : list(name)) {
    if (!item.is_string()) problems_.add(fmt::format("{}[{}]: a string is wanted", path_of(name), out.size()));
    out.emplace_back(item.as_string());
  }
  return out;
}
Value ConfigObject::object(std::string_view name) const {
  return value_.get({name});
}

Result<Value> parse_config(std::string_view text, std::string_view group, std::string_view kind,
                           std::initializer_list<std::string_view> versions, schema::Arena& arena) {
  schema::DecodeLimits limits;
  limits.max_bytes = kMaxConfigBytes;
  schema::DecodeWarnings warnings;
  auto parsed = schema::parse_yaml(text, arena, limits, &warnings);
  if (!parsed) return Error(parsed.error());
  if (!warnings.strict.empty()) return bad_request(warnings.strict.front());
  std::string_view version = parsed->get({"apiVersion"}).as_string(), said = parsed->get({"kind"}).as_string();
  std::string supported;
  bool known = false;
  for (std::string_view v : versions) {
    std::string full = fmt::format("{}/{}", group, v);
    known = known || full == version;
    supported += (supported.empty() ? "" : " or ") + full;
  }
  if (said != kind) return bad_request(fmt::format("kind: \"{}\" is wanted, not \"{}\"", kind, said));
  if (!known) return bad_request(fmt::format("apiVersion: {} is wanted, not \"{}\"", supported, version));
  return *parsed;
}

}  // namespace redoubt::apiserver
