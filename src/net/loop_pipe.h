// A pipe between two loops: how a stream that belongs to one is used from another. Pieces are handed over, not copied.
#pragma once
#include <utility>

#include "net/stream.h"

namespace redoubt::net {

// Each end belongs to its executor's loop. At most `buffer_bytes` (and one write) wait in each direction.
std::pair<StreamPtr, StreamPtr> make_loop_pipe(Executor first, Executor second, size_t buffer_bytes = 128 * 1024);

}  // namespace redoubt::net
