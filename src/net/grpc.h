// gRPC over HTTP/2: what client and server share. Messages are bytes: which protobuf they hold is the caller's affair.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "net/http.h"

namespace redoubt::net {

// Numbers as on the wire (grpc-status).
enum class GrpcCode {
  Ok = 0,
  Canceled = 1,
  Unknown = 2,
  InvalidArgument = 3,
  DeadlineExceeded = 4,
  NotFound = 5,
  AlreadyExists = 6,
  PermissionDenied = 7,
  ResourceExhausted = 8,
  FailedPrecondition = 9,
  Aborted = 10,
  OutOfRange = 11,
  Unimplemented = 12,
  Internal = 13,
  Unavailable = 14,
  DataLoss = 15,
  Unauthenticated = 16
};
// "Unavailable", as Go's codes print.
std::string_view grpc_code_name(GrpcCode code);

// A gRPC status as our Status (NOT_FOUND 404, UNAVAILABLE 503, ...), and back.
Error grpc_error(GrpcCode code, std::string message);
GrpcCode grpc_code_of(const Status& status);

// One call's messages in both directions. Belongs to its connection's loop. One task may read at a time; any number may
// write, and a message stays whole.
class GrpcStream {
 public:
  virtual ~GrpcStream() = default;
  // The next message; nothing at a clean end. Errors: the call's status, or the connection's.
  virtual Task<Result<std::optional<Bytes>>> next() = 0;
  // Completes when the transport took the message: waits while the peer's window is full. Pieces must own their memory.
  virtual Task<Result<void>> write(BytesList message) = 0;
};

// Cuts a body into messages, each at most `max_message_bytes` (then ResourceExhausted).
class GrpcMessageReader {
 public:
  explicit GrpcMessageReader(size_t max_message_bytes) : max_message_bytes_(max_message_bytes) {}
  // The next message; nothing at the end of the body; an error when it ends within a message. Small messages are copied
  // out, so that a message never holds on to much more memory than it has bytes.
  Task<Result<std::optional<Bytes>>> next(BodyReader& body);

 private:
  size_t max_message_bytes_;
  Bytes piece_;  // what is left of the last piece read
};

// The five bytes before a message.
Bytes grpc_message_prefix(size_t message_bytes);
// `message` with its prefix.
BytesList grpc_frame(BytesList message);

// "15S", "200m" and so on (grpc-timeout); nothing when malformed.
std::optional<std::chrono::nanoseconds> parse_grpc_timeout(std::string_view text);

// The status in trailers (or in the headers of a response without a body).
Result<void> grpc_status_from(const Headers& headers);
// The trailers that say `outcome`.
Headers grpc_trailers(const Result<void>& outcome);

}  // namespace redoubt::net
