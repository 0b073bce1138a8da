// A gRPC service on HttpServer: methods by name, each a bidirectional stream of messages (a unary call is one in, one
// out). https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "net/grpc.h"
#include "net/limits.h"

namespace redoubt::net {

// The server's end of a call. Lives until the method returns.
class GrpcCall : public GrpcStream {
 public:
  // The request's headers: the caller's metadata, names in lower case.
  virtual const Headers& metadata() const = 0;
  virtual const ConnectionInfo& connection() const = 0;
  // Our metadata, before the first message. Without it the first write() sends headers with none. At most once.
  virtual Task<Result<void>> send_headers(Headers metadata) = 0;
  // Lets the client send so many bytes before they are read: for one that has shown who it is.
  virtual void widen_window(int32_t bytes) = 0;
  // Microseconds of the connection's shortest ping so far; 0: none came back yet. Any thread may read it at any time.
  // Null where the connection is not HTTP/2.
  virtual std::shared_ptr<const std::atomic<int64_t>> round_trip_us() const = 0;
};

// Its result is the call's status. The task is cancelled when the client goes away or its deadline passes.
using GrpcMethod = std::function<Task<Result<void>>(GrpcCall&)>;

struct GrpcServerOptions {
  std::map<std::string, GrpcMethod> methods;  // by "/package.Service/Method"
  size_t max_message_bytes = kGrpcMessageBytes;
};

// A handler for HttpServerOptions. Unknown methods are Unimplemented; what is no gRPC request goes to `other`, or is
// refused with 415.
Handler make_grpc_handler(GrpcServerOptions options, Handler other = {});

}  // namespace redoubt::net
