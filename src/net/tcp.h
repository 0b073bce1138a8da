// TCP and unix sockets as Streams.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "base/task.h"
#include "net/stream.h"

namespace redoubt::net {

struct Address {
  std::string host;  // name or IP literal without brackets
  uint16_t port = 0;
  std::string to_string() const;  // "host:port", "[v6]:port"
};
// "host:port", "[v6]:port"; BadRequest otherwise.
Result<Address> parse_address(std::string_view text);

// Names are resolved on the blocking pool; addresses tried in turn (RFC 8305 without the race). TCP_NODELAY and
// keepalive on.
Task<Result<StreamPtr>> tcp_connect(Address address, std::chrono::milliseconds timeout);
Task<Result<StreamPtr>> unix_connect(std::string path, std::chrono::milliseconds timeout);

}  // namespace redoubt::net
