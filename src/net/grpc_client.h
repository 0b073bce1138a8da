// gRPC calls over HttpClient (HTTP/2, prior knowledge on a unix socket or TLS): unary and server-streaming, messages as
// bytes. https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
#pragma once
#include <chrono>
#include <memory>
#include <string>

#include "net/http_client.h"

namespace redoubt::net {

// A gRPC status other than OK becomes a Status: NOT_FOUND 404, ALREADY_EXISTS 409, UNAVAILABLE 503, DEADLINE_EXCEEDED
// 504, UNIMPLEMENTED 501, ... with the message the server gave; reason() is upstream's nearest.
class GrpcClient {
 public:
  explicit GrpcClient(std::unique_ptr<HttpClient> http) : http_(std::move(http)) {}
  // `method` is "/package.Service/Method"; request and answer are serialized protobuf messages.
  Task<Result<std::string>> unary(std::string method, std::string request, std::chrono::milliseconds timeout);

  class ServerStream {
   public:
    virtual ~ServerStream() = default;
    // The next message; nothing at a clean end.
    virtual Task<Result<std::optional<std::string>>> next() = 0;
  };
  Task<Result<std::unique_ptr<ServerStream>>> server_stream(std::string method, std::string request);

 private:
  std::unique_ptr<HttpClient> http_;
};

}  // namespace redoubt::net
