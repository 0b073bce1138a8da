// The node ports that are given out: --service-node-port-range. Pure; values.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace redoubt::apiserver {

struct PortRange {
  int64_t first = 30000, last = 32767;

  // "30000-32767", or "30000+2767": the first and how many more. BadRequest for anything else.
  static Result<PortRange> parse(std::string_view text);
  bool holds(int64_t port) const { return port >= first && port <= last; }
  int64_t size() const { return last - first + 1; }
  // So many of the first ones are given last to those who ask for none by number
  // (https://kubernetes.io/blog/2023/05/11/nodeport-dynamic-and-static-allocation/).
  int64_t reserved() const;
  std::string to_string() const;
};

}  // namespace redoubt::apiserver
