#include "controllers/job/indexes.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace redoubt::controllers {

namespace {
std::optional<int32_t> number(std::string_view text) {
  int32_t out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size() || out < 0) return std::nullopt;
  return out;
}
}  // namespace

std::set<int32_t> parse_indexes(std::string_view text, int32_t below) {
  std::set<int32_t> out;
  while (!text.empty()) {
    size_t comma = text.find(',');
    std::string_view item = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    size_t dash = item.find('-');
    auto first = number(item.substr(0, dash));
    auto last = dash == std::string_view::npos ? first : number(item.substr(dash + 1));
    if (!first || !last) continue;
    for (int32_t i = *first; i <= *last && i < below; ++i) out.insert(i);
  }
  return out;
}

std::string format_indexes(const std::set<int32_t>& indexes) {
  std::string out;
  for (auto it = indexes.begin(); it != indexes.end();) {
    int32_t first = *it, last = first;
    for (++it; it != indexes.end() && *it == last + 1; ++it) last = *it;
    if (!out.empty()) out += ',';
    out += last == first       ? fmt::format("{}", first)
           : last == first + 1 ? fmt::format("{},{}", first, last)
                               : fmt::format("{}-{}", first, last);
  }
  return out;
}

}  // namespace redoubt::controllers
