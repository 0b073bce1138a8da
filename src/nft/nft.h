// Runs nft commands through libnftables, in the calling thread's network namespace. Blocking; needs CAP_NET_ADMIN.
// Syntax: nft(8).
#pragma once
#include <optional>
#include <string>

#include "base/status.h"

namespace redoubt::nft {

// Applies a script as one transaction: whole, or, on any error, not at all. Errors hold nft's first lines.
Result<void> apply(const std::string& script);

// What a list command prints ("list set ip redoubt-proxy generation"); nothing when there is no such thing.
std::optional<std::string> print(const std::string& list_command);

}  // namespace redoubt::nft
