// An HTTP client: connections kept and shared per origin, HTTP/2 where the server speaks it, upgrades over HTTP/1.1.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "net/http.h"
#include "net/tcp.h"
#include "net/tls.h"

namespace redoubt::net {

struct ClientRequest {
  std::string method = "GET";
  std::string target = "/";  // path with query
  std::string authority;     // default: the origin's host:port
  Headers headers;
  BytesList body;
  std::function<Task<Result<Bytes>>()> body_source;  // instead of body: called until it gives empty
  std::chrono::milliseconds header_timeout{30'000};  // until the response's headers; 0: none
};

struct ClientResponse {
  int status = 0;
  Headers headers;
  std::unique_ptr<BodyReader> body;  // dropping it before the end resets the stream
  Headers trailers() const;          // after the end of the body (gRPC)
  std::shared_ptr<Headers> trailers_storage;
};

struct UpgradeResponse {
  int status = 0;  // 101, or what the server said instead
  Headers headers;
  StreamPtr stream;                  // set when status is 101
  std::unique_ptr<BodyReader> body;  // set otherwise
};

// An HTTP/2 request whose body and response run side by side (gRPC streams). Dropping it before both ended resets the
// stream.
class DuplexCall {
 public:
  virtual ~DuplexCall() = default;
  // Completes when the transport took the pieces; any number of tasks.
  virtual Task<Result<void>> write(BytesList pieces) = 0;
  virtual void finish() = 0;
  // Waits for the response's headers, at most `timeout` (0: without end). Once; the call must outlive its body.
  virtual Task<Result<ClientResponse>> response(std::chrono::milliseconds timeout) = 0;
  virtual void cancel() noexcept = 0;
};

class HttpClient {
 public:
  // Opens a transport to the origin: TCP, a unix socket, or a tunnel.
  using Dialer = std::function<Task<Result<StreamPtr>>()>;
  struct Options {
    Dialer dial;
    std::string host;                       // for TLS names and the default authority, "host" or "host:port"
    std::shared_ptr<TlsClientContext> tls;  // null: plain text (unix sockets, inside tunnels)
    bool http2_prior_knowledge = false;     // plain-text HTTP/2 (gRPC on a unix socket)
    size_t max_idle_connections = 4;
    std::chrono::milliseconds ping_interval{30'000};  // HTTP/2: silence for so long is asked about by a ping; 0: off
    int32_t stream_window = 0;  // HTTP/2: bytes the server may send before they are read; 0: the default
    int32_t connection_window = 0;
  };
  // For use on the executor's loop only.
  static std::unique_ptr<HttpClient> make(Executor executor, Options options);
  virtual ~HttpClient() = default;
  // A request that failed before the server can have seen it is tried once more on a new connection.
  virtual Task<Result<ClientResponse>> send(ClientRequest request) = 0;
  // A request over an HTTP/1.1 connection of its own, with Connection: Upgrade headers given by the caller.
  virtual Task<Result<UpgradeResponse>> upgrade(ClientRequest request) = 0;
  // Opens a stream and returns at once; ServiceUnavailable when the server speaks no HTTP/2. The request has no body
  // but what is written.
  virtual Task<Result<std::unique_ptr<DuplexCall>>> open(ClientRequest request) = 0;
  // Drops idle connections, so that the next request makes a new one (after a certificate change).
  virtual void drop_idle() = 0;
};

}  // namespace redoubt::net
