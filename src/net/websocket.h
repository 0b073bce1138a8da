// WebSocket (RFC 6455), both sides, over any Stream: frames, masks, ping and close; messages bounded.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/http.h"
#include "net/stream.h"

namespace redoubt::net {

class WebSocket {
 public:
  struct Message {
    bool binary = true;
    std::string data;
  };
  virtual ~WebSocket() = default;
  // The next message; nothing after a clean close. Pings are answered inside. Messages over the limit close with 1009.
  virtual Task<Result<std::optional<Message>>> read() = 0;
  virtual Task<Result<void>> write(bool binary, BytesList payload) = 0;
  virtual Task<Result<void>> ping() = 0;
  // Sends a close frame; the stream may then be dropped once read() gave nothing.
  virtual Task<Result<void>> close(uint16_t code, std::string reason) = 0;
  virtual void abort() noexcept = 0;
};

// Server side of the handshake: BadRequest when the request is no WebSocket's; picks the first of `protocols` that the
// client offers (none of them offered: Forbidden, unless the client offers none: then the protocol is empty). Works on
// HTTP/1.1 and RFC 8441.
struct WebSocketAccepted {
  std::unique_ptr<WebSocket> socket;
  std::string protocol;
};
bool is_websocket_request(const Request& request);
// What the client offers in Sec-WebSocket-Protocol, in its order.
std::vector<std::string> websocket_protocols(const Request& request);
Task<Result<WebSocketAccepted>> websocket_accept(Request& request, Responder& responder,
                                                 std::vector<std::string> protocols,
                                                 size_t max_message_bytes = 1 << 20);
// Client side: over a Stream that has answered 101.
std::unique_ptr<WebSocket> websocket_over(StreamPtr stream, bool server, size_t max_message_bytes = 1 << 20);
// The headers of a client's handshake over HTTP/1.1 (upgrade, key, version, protocols), and the check of its answer:
// the protocol chosen, which may be none.
Headers websocket_client_headers(const std::vector<std::string>& protocols);
Result<std::string> websocket_check_answer(const Headers& sent, const Headers& answer);

// The payloads of binary messages as one flow of bytes (SPDY tunnelled through WebSocket). shutdown_write() closes.
StreamPtr websocket_as_stream(std::unique_ptr<WebSocket> socket);

}  // namespace redoubt::net
