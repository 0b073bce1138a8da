// A node's WireGuard key: made on the node, never leaves it.
#pragma once
#include <chrono>
#include <string>

#include "base/status.h"

namespace redoubt::podnetwork {

// Both in base64, as wg(8) writes them. The private one is a secret: not in logs, not in errors.
struct Key {
  std::string private_key;
  std::string public_key;
};

Key make_key();
// The public half; BadRequest for what is no key.
Result<std::string> public_key_of(const std::string& private_key);
// Whether a text is 32 bytes in base64, and not the one that everybody could have (all zeros).
bool is_key(const std::string& text);

// The key in `file` (0600), made anew when there is none, when it can't be read as one, or when it is older than
// `lifetime` (0: for ever). Blocking.
Result<Key> load_key(const std::string& file, std::chrono::seconds lifetime);

}  // namespace redoubt::podnetwork
