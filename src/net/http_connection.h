// What serves one connection of an HTTP server, by either version. For net's own use.
#pragma once
#include <memory>
#include <string>

#include "net/drain_hooks.h"
#include "net/http_server.h"

namespace redoubt::net {

inline constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Each runs until the connection ends. `already_read`: what came before HTTP/2 was recognised.
Task<void> serve_http1(StreamPtr stream, std::shared_ptr<const ConnectionInfo> info,
                       std::shared_ptr<const HttpServerOptions> options, std::shared_ptr<DrainHooks> hooks);
Task<void> serve_http2(StreamPtr stream, std::shared_ptr<const ConnectionInfo> info,
                       std::shared_ptr<const HttpServerOptions> options, std::shared_ptr<DrainHooks> hooks,
                       std::string already_read);

// The body of an answer to HEAD.
class NoBodyWriter : public BodyWriter {
 public:
  Task<Result<void>> write(BytesList) override { co_return Result<void>{}; }
  Task<Result<void>> finish(Headers) override { co_return Result<void>{}; }
};

}  // namespace redoubt::net
