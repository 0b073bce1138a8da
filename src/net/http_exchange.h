// A request whose body is sent while the answer may already be read: a proxy's duty, since either side may be the slow
// one.
#pragma once
#include "net/http_client.h"

namespace redoubt::net {

// Belongs to the client's loop; must not outlive the client.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;  // abandons what is unfinished
  // Sends the body: finish() ends it, dropping it before breaks the request. Take it once.
  virtual std::unique_ptr<BodyWriter> body() = 0;
  // Waits for the answer's headers. Call once; may run while the body is being sent.
  virtual Task<Result<ClientResponse>> response() = 0;
};

// Begins a request (`body` and `body_source` are not looked at): over the client's shared HTTP/2 connection, or an
// HTTP/1.1 connection of its own. With a content-length header the body has that length, else it is chunked. Never sent
// twice.
Task<Result<std::unique_ptr<HttpExchange>>> begin_exchange(HttpClient& client, ClientRequest request);

}  // namespace redoubt::net
