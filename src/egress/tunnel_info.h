// What is known of one tunnel, whatever its kind: for metrics and `redoubt paths`.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"

namespace redoubt::egress {

struct TunnelInfo {
  std::string_view kind;  // "reverse", "konnectivity", "ssh"
  std::string node;       // whose traffic it carries; of a konnectivity-agent that proved no node, the agent's id
  std::string peer;       // address and port of the other end
  std::string identity;   // who that showed to be
  bool up = true;         // takes streams; false: it drains, or is being made
  Timestamp since{};
  size_t streams = 0;
  uint64_t bytes_to_node = 0, bytes_from_node = 0;
  std::chrono::microseconds round_trip{0};  // the shortest seen; 0: not measured yet
  std::string last_error;                   // of making it, or of a dial over it
};

}  // namespace redoubt::egress
