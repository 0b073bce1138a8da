// splice() for peers that can't be trusted to end: as stream.h's, with a limit on a connection of which one direction
// has ended.
#pragma once
#include <chrono>

#include "net/stream.h"

namespace redoubt::net {

// Once one direction has ended, the other may go on for `half_closed`; then both are aborted. Zero: for
// ever.
Task<SpliceCounts> splice_limited(StreamPtr a, StreamPtr b, std::chrono::seconds half_closed);

}  // namespace redoubt::net
