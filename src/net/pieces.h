// Reading without a copy: a Stream that has its bytes in pieces anyway hands them over as they are.
#pragma once
#include "net/stream.h"

namespace redoubt::net {

class PieceStream : public Stream {
 public:
  // As read_some(): at least one byte, about `max` at most; an empty list means the end. Waits without holding a buffer
  // where it can, so that idle streams cost little. One of the two kinds of reading may be pending at a time; they can
  // be mixed.
  virtual Task<Result<BytesList>> read_pieces(size_t max) = 0;
};

// Of any stream: its pieces, or what read_some() gives in a buffer of `max` bytes (at most kSpliceBufferBytes).
Task<Result<BytesList>> read_pieces(Stream& stream, size_t max);

}  // namespace redoubt::net
