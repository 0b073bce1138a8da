// How much of what was written may wait in the kernel. A connection that carries many streams decides whose turn it is
// when the kernel takes more: what waits there already is ahead of every other stream, megabytes of it on a slow way.
#pragma once
#include "net/stream.h"

namespace redoubt::net {

// Of streams that can be told, or hand it on to the one below them.
class LimitsUnsent {
 public:
  virtual ~LimitsUnsent() = default;
  virtual void limit_unsent(int bytes) = 0;
};

// TCP_NOTSENT_LOWAT of the socket under `stream`; does nothing where there is none (pipes, tunnels in tunnels).
void limit_unsent(Stream& stream, int bytes);

}  // namespace redoubt::net
