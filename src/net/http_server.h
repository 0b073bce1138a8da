// An HTTPS server for HTTP/1.1 and HTTP/2 on the loops of a pool: accepts on one, pins each connection to one.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "net/http.h"
#include "net/immediate.h"
#include "net/loop.h"
#include "net/tls.h"

namespace redoubt::net {

struct HttpServerOptions {
  std::string address = "0.0.0.0";        // "::" takes both families
  uint16_t port = 0;                      // 0: any free one
  std::string unix_path;                  // instead of address and port
  int unix_mode = 0600;                   // of the socket's file
  std::shared_ptr<TlsServerContext> tls;  // null: plain text, for unix sockets and tests only
  Handler handler;
  Starter starter;  // instead of handler where set
  // Limits, each with what happens at it (net/limits.h has the defaults and their reasons).
  size_t max_connections = 20'000;                  // further ones are closed at once
  size_t max_streams_per_connection = 250;          // HTTP/2 SETTINGS
  size_t max_header_bytes = 64 * 1024;              // 431
  std::chrono::seconds header_timeout{10};          // handshake and headers; then closed
  std::chrono::seconds idle_timeout{180};           // no request under way; then closed
  std::chrono::milliseconds ping_interval{30'000};  // HTTP/2: silence for so long is asked about by a ping; 0: off
  int32_t stream_window = 0;  // HTTP/2: bytes a client may send before they are read; 0: the default
  int32_t connection_window = 0;
};

class HttpServer {
 public:
  // Binds and starts accepting. Errors say which address and why.
  static Result<std::unique_ptr<HttpServer>> start(LoopPool& loops, HttpServerOptions options);
  virtual ~HttpServer() = default;
  virtual uint16_t port() const = 0;
  // Stops accepting, sends GOAWAY, lets requests under way end until `deadline`, then drops the rest. From any loop.
  virtual Task<void> drain(std::chrono::milliseconds deadline) = 0;
};

// Serves one already accepted connection (a tunnel's, a test's) until it ends. ALPN "h2" picks HTTP/2; else HTTP/1.1,
// which turns into HTTP/2 on its prior-knowledge preface.
Task<void> serve_connection(StreamPtr stream, ConnectionInfo info, const HttpServerOptions& options);

}  // namespace redoubt::net
