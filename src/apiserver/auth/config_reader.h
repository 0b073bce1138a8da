// Reads configuration files strictly: what is wrong, missing or not known is collected with its path, so that a person
// sees every problem of a file at once.
#pragma once
#include <chrono>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "schema/value.h"

namespace redoubt::apiserver {

// What is wrong with a file: "jwt[0].issuer.url: Required value".
class ConfigProblems {
 public:
  void required(const std::string& path, std::string_view why = {});
  void invalid(const std::string& path, std::string_view value, std::string_view why);
  void duplicate(const std::string& path, std::string_view value);
  void not_supported(const std::string& path, std::string_view value, std::string_view supported);
  void add(std::string text) { all_.push_back(std::move(text)); }
  bool empty() const { return all_.empty(); }
  // BadRequest with all of them in one line each.
  Error error() const;

 private:
  std::vector<std::string> all_;
};

// One object of a file. Members are asked for by name; whatever was not among `known` is a problem.
class ConfigObject {
 public:
  // `value` that is no object (but null) is a problem, and then reads as an empty one.
  ConfigObject(const schema::Value& value, std::string path, std::initializer_list<std::string_view> known,
               ConfigProblems& problems);
  bool has(std::string_view name) const;
  std::string text(std::string_view name) const;
  std::optional<bool> boolean(std::string_view name) const;
  std::optional<std::chrono::nanoseconds> duration(std::string_view name) const;
  std::vector<std::string> texts(std::string_view name) const;
  std::vector<schema::Value> list(std::string_view name) const;
  schema::Value object(std::string_view name) const;
  std::string path_of(std::string_view name) const;
  const std::string& path() const { return path_; }

 private:
  schema::Value value_;
  std::string path_;
  ConfigProblems& problems_;
};

// A file's one YAML or JSON document with the wanted kind and one of the versions of `group`. Errors name the line.
Result<schema::Value> parse_config(std::string_view text, std::string_view group, std::string_view kind,
                                   std::initializer_list<std::string_view> versions, schema::Arena& arena);

}  // namespace redoubt::apiserver
