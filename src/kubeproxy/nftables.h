// Runs nft commands through libnftables, in the calling process' network namespace.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "kubeproxy/service_ports.h"

namespace redoubt::kubeproxy {

// Applies a script as one transaction: whole, or, on any error, not at all. Errors hold nft's first lines. Blocking.
Result<void> apply_nft(const std::string& script);

// The marker that generation_script() left in our table; nothing when the table is gone or was emptied. Blocking.
std::optional<uint32_t> installed_generation(Family family);

}  // namespace redoubt::kubeproxy
