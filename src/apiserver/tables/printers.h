// What each kind shows in a table: its columns and how a row's cells come from an object.
#pragma once
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "schema/value.h"

namespace redoubt::apiserver {

struct Column {
  std::string_view name;
  std::string_view type;    // "string", "integer", "date"
  std::string_view format;  // "name" for the first
  int priority;             // above 0: only with -o wide
};
using Cell = std::variant<std::string, int64_t>;

struct Printer {
  std::vector<Column> columns;
  std::function<std::vector<Cell>(const schema::Value& object)> cells;
};

// Null when the kind has none of its own.
const Printer* find_printer(std::string_view group, std::string_view resource);

// "5m12s", "3h", "12d", as kubectl shows ages.
std::string human_duration(std::chrono::seconds duration);
std::string age_of(std::string_view rfc3339);

}  // namespace redoubt::apiserver
