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
    std::chrono::milliseconds ping_interval{30'000};  // HTTP/2: a dead peer is found within twice this; 0: off
  };
  // For use on the executor's loop only.
  static std::unique_ptr<HttpClient> make(Executor executor, Options options);
  virtual ~HttpClient() = default;
  // A request that failed before the server can have seen it is tried once more on a new connection.
  virtual Task<Result<ClientResponse>> send(ClientRequest request) = 0;
  // A request over an HTTP/1.1 connection of its own, with Connection: Upgrade headers given by the caller.
  virtual Task<Result<UpgradeResponse>> upgrade(ClientRequest request) = 0;
  // Drops idle connections, so that the next request makes a new one (after a certificate change).
  virtual void drop_idle() = 0;
};

}  // namespace redoubt::net
