// A Stream that belongs to one loop, made usable from another: a tunnel's streams live on the tunnel's loop, the
// requests that use them on their clients'.
//
// Two tasks on the home loop carry pieces (shared, not copied) through a queue of at most kCrossLoopBytes a direction;
// a loop is woken only when it waits. Write errors show at the next call, as with any socket.
#pragma once
#include "base/task.h"
#include "net/stream.h"

namespace redoubt::net {

// Called on `home`'s loop, to which `inner` belongs; the result belongs to `user`'s loop. When `home` is cancelled, it
// fails.
StreamPtr make_cross_loop_stream(StreamPtr inner, Scope& home, Executor user);

}  // namespace redoubt::net
