// Everything that carries bytes is a Stream: TCP, TLS, an HTTP/2 stream, a WebSocket channel, a SPDY stream, an SSH
// channel, a tunnel, a pipe. A proxy is then one function, splice().
//
// Back-pressure is by construction: write() completes when the next layer took the bytes, so nothing buffers without a
// named bound. One read and one write may be pending at a time, each from its own task; all calls come from the
// stream's loop. Cancelling a pending read or write leaves the stream fit only for abort().
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/status.h"
#include "base/task.h"

namespace redoubt::net {

class Stream {
 public:
  virtual ~Stream() = default;  // aborts what is still open
  // Reads at least one byte, at most into.size(); 0 means that the peer ended its direction. Errors: the transport's
  // (ServiceUnavailable with what happened).
  virtual Task<Result<size_t>> read_some(std::span<char> into) = 0;
  // Writes all pieces, in order, or fails. Memory that a piece does not own is good until then only: who holds on to
  // pieces after completing takes Bytes::kept().
  virtual Task<Result<void>> write(BytesList pieces) = 0;
  // Ends our direction (FIN, END_STREAM, close_notify); the peer can still send.
  virtual Task<Result<void>> shutdown_write() = 0;
  // Drops the connection in both directions at once; pending calls fail.
  virtual void abort() noexcept = 0;
};

using StreamPtr = std::unique_ptr<Stream>;

struct SpliceCounts {
  uint64_t a_to_b = 0;
  uint64_t b_to_a = 0;
};

// Carries bytes both ways until both directions ended. A half-close on one side is forwarded to the other; an error or
// an abort on either cancels both. Buffers at most kSpliceBufferBytes a direction. The counts are right even on error.
Task<SpliceCounts> splice(StreamPtr a, StreamPtr b);
inline constexpr size_t kSpliceBufferBytes = 32 * 1024;

// Reads until the end; fails with RequestEntityTooLarge once more than `limit` bytes came.
Task<Result<std::string>> read_to_end(Stream& stream, size_t limit);

// Two ends of a pipe in memory with a bounded buffer in each direction: for tests, and for joining two halves of a
// program.
std::pair<StreamPtr, StreamPtr> make_pipe(Executor executor, size_t buffer_bytes = 64 * 1024);

}  // namespace redoubt::net
