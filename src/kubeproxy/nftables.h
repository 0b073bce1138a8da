// Whether our tables are as we left them.
#pragma once
#include <cstdint>
#include <optional>

#include "kubeproxy/service_ports.h"

namespace redoubt::kubeproxy {

// The marker that generation_script() left in our table; nothing when the table is gone or was emptied. Blocking.
std::optional<uint32_t> installed_generation(Family family);

}  // namespace redoubt::kubeproxy
