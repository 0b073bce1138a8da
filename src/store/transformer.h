// Between the objects in memory, which are plain JSON, and the bytes on disk, which need not be.
//
// A store calls this where it writes a value and where it reads one back; the bytes it keeps in memory and serves are
// always plain. Calls may block (a key service is asked), so they come from the store's own thread, never from a loop;
// any thread.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace redoubt::store {

// Which key a stored value was written with; 0: none, it is as it is. Values of two keys never have the same.
using SealId = uint64_t;

class Transformer {
 public:
  struct Sealed {
    std::string bytes;
    SealId seal = 0;
  };
  struct Opened {
    std::string bytes;
    SealId seal = 0;
  };
  virtual ~Transformer() = default;
  // What is to be stored under `key` of `resource` (a storage prefix). Nothing: `plain` as it is.
  virtual Result<std::optional<Sealed>> seal(std::string_view resource, std::string_view key,
                                             std::string_view plain) const = 0;
  // The plain value; nothing when `stored` is that already. Errors name key, provider and remedy.
  virtual Result<std::optional<Opened>> open(std::string_view resource, std::string_view key,
                                             std::string_view stored) const = 0;
  // What seal() would mark a value with now: a value with another mark is stale, and worth writing again.
  virtual SealId current_seal(std::string_view resource) const = 0;
};

}  // namespace redoubt::store
