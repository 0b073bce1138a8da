// Sets of completion indexes as a Job's status writes them: "0,2-4".
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace redoubt::controllers {

// What is no index, or is `below` or more, is left out.
std::set<int32_t> parse_indexes(std::string_view text, int32_t below);
std::string format_indexes(const std::set<int32_t>& indexes);

}  // namespace redoubt::controllers
