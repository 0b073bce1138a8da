// gRPC calls over HttpClient (HTTP/2, prior knowledge on a unix socket or TLS): unary, server-streaming and
// bidirectional, messages as bytes. https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
#pragma once
#include <chrono>
#include <memory>
#include <string>

#include "net/grpc.h"
#include "net/http_client.h"
#include "net/limits.h"

namespace redoubt::net {

// The client's end of a bidirectional call. Dropping it before its end cancels the call.
class GrpcClientStream : public GrpcStream {
 public:
  // The server's metadata, once it sent any (some do with their first message only). An error when the call ended
  // without a message, or within `timeout` (0: none) nothing came.
  virtual Task<Result<Headers>> headers(std::chrono::milliseconds timeout) = 0;
  // The server's silence is asked about after another time from now on: once headers() showed whom we speak to.
  virtual void ping_every(std::chrono::milliseconds interval) = 0;
  // No further message from us.
  virtual void finish_writing() = 0;
  // Resets the call; pending reads and writes fail.
  virtual void cancel() noexcept = 0;
};

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

  // Opens a call and returns without waiting for the server. Errors: no connection could be made.
  Task<Result<std::unique_ptr<GrpcClientStream>>> open(std::string method, Headers metadata,
                                                       size_t max_message_bytes = kGrpcMessageBytes);

 private:
  std::unique_ptr<HttpClient> http_;
};

}  // namespace redoubt::net
