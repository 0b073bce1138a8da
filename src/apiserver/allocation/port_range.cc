#include "apiserver/allocation/port_range.h"

#include <algorithm>
#include <charconv>

namespace redoubt::apiserver {

namespace {

// Upstream's: a thirty-second, at least 16 and at most 128.
constexpr int64_t kLeastReserved = 16, kMostReserved = 128, kReservedPart = 32;

bool number(std::string_view text, int64_t& into) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

}  // namespace

Result<PortRange> PortRange::parse(std::string_view text) {
  PortRange out;
  size_t at = text.find_first_of("-+");
  bool fits = at != std::string_view::npos && number(text.substr(0, at), out.first) &&
              number(text.substr(at + 1), out.last) && out.first <= 65535 && out.last <= 65535;
  if (fits && text[at] == '+') out.last += out.first;
  if (!fits || out.first < 1 || out.last > 65535 || out.last < out.first)
    return bad_request(
        fmt::format("--service-node-port-range \"{}\" must be two ports between 1 and 65535, like 30000-32767", text));
  return out;
}

int64_t PortRange::reserved() const {
  if (size() <= kLeastReserved) return 0;
  return std::clamp(size() / kReservedPart, kLeastReserved, kMostReserved);
}

std::string PortRange::to_string() const {
  return fmt::format("{}-{}", first, last);
}

}  // namespace redoubt::apiserver
