// Reading what flags name, with errors that say which flag it was.
#pragma once
#include <chrono>
#include <string>
#include <string_view>

#include "base/status.h"

namespace redoubt::cmd {

// "FLAG VALUE: why".
Error wrong_flag(std::string_view flag, std::string_view value, const Status& why);
// The file's content. Blocking.
Result<std::string> read_flag_file(std::string_view flag, const std::string& path);
// Go's duration text, not negative.
Result<std::chrono::nanoseconds> duration_flag(std::string_view flag, const std::string& text);

}  // namespace redoubt::cmd
