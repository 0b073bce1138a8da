// SPDY/3.1 framing as Kubernetes' exec, attach and port-forward still use it: a connection of multiplexed Streams with
// their own windows, over any Stream. Both sides. (draft-mbelshe-httpbis-spdy-00 with 3.1's session window.)
#pragma once
#include <functional>
#include <memory>

#include "net/http.h"
#include "net/stream.h"

namespace redoubt::net {

class SpdyConnection {
 public:
  struct NewStream {
    Headers headers;  // "streamtype", "port", "requestid", ...
    StreamPtr stream;
    uint32_t id = 0;
  };
  // `server`: who made the connection decides the parity of stream ids. Runs on the executor's loop.
  static std::unique_ptr<SpdyConnection> make(StreamPtr transport, bool server, Executor executor);
  virtual ~SpdyConnection() = default;
  // The next stream that the peer opened (already replied to); nothing when the connection ended.
  virtual Task<Result<std::optional<NewStream>>> accept() = 0;
  // Opens a stream and waits for its SYN_REPLY.
  virtual Task<Result<StreamPtr>> open(Headers headers) = 0;
  virtual Task<void> close() = 0;
  virtual void abort() noexcept = 0;
};

}  // namespace redoubt::net
