#include "cmd/flags/flag_values.h"

#include <fmt/format.h>

#include "base/time.h"
#include "pki/certificate.h"

namespace redoubt::cmd {

Error wrong_flag(std::string_view flag, std::string_view value, const Status& why) {
  return bad_request(fmt::format("{}{}{}: {}", flag, value.empty() ? "" : " ", value, why.message()));
}

Result<std::string> read_flag_file(std::string_view flag, const std::string& path) {
  auto text = pki::read_file(path);
  if (!text) return Error(text.error().with_context(flag));
  return text;
}

Result<std::chrono::nanoseconds> duration_flag(std::string_view flag, const std::string& text) {
  auto parsed = parse_go_duration(text);
  if (!parsed || parsed->count() < 0)
    return bad_request(fmt::format("{} {}: a duration is wanted, like 30s or 5m0s", flag, text));
  return *parsed;
}

}  // namespace redoubt::cmd
