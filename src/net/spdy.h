// SPDY/3.1 framing as Kubernetes' exec, attach and port-forward still use it: a connection of multiplexed Streams over
// any Stream. Both sides. (draft-mbelshe-httpbis-spdy-00.)
//
// Windows are not used: the implementations in kubectl, kubelet and containerd neither send nor mind WINDOW_UPDATE.
// Back-pressure is the transport's: while one stream holds kSpdyStreamBufferBytes unread, nothing more is read. All
// streams of a connection must therefore be read, or dropped.
#pragma once
#include <memory>
#include <optional>

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
  // Sends GOAWAY and what is queued, then ends the connection.
  virtual Task<void> close() = 0;
  virtual void abort() noexcept = 0;
};

}  // namespace redoubt::net
