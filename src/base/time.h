// Wall-clock time as the API writes it (RFC 3339, UTC), with a clock that tests can set.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace redoubt {

using Timestamp = std::chrono::sys_time<std::chrono::microseconds>;

// Now, by the system's clock.
Timestamp now();

// "2026-01-02T03:04:05Z" (metav1.Time; fractions cut) and "2026-01-02T03:04:05.678901Z" (metav1.MicroTime).
std::string format_rfc3339(Timestamp time);
std::string format_rfc3339_micro(Timestamp time);
// Any RFC 3339 time with offset and optional fraction; nothing for anything else.
std::optional<Timestamp> parse_rfc3339(std::string_view text);

// Go's duration text: "1h2m3.5s", "300ms", "-1.5h". Nothing for anything else.
std::optional<std::chrono::nanoseconds> parse_go_duration(std::string_view text);
// As Go prints it: "1h2m3.5s", "0s", "1.5ms".
std::string format_go_duration(std::chrono::nanoseconds duration);

}  // namespace redoubt
