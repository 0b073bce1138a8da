// A command's streams between its client and the runtime, to the end of both.
//
// A runtime does not end a command whose client has gone: a program that is blocked in writing, because nobody takes
// its output any more, stays in the container for ever, and never sees that its input has ended. So the runtime's side
// goes on without the client: its input ends, and its output is thrown away, until it ends by itself or `abandoned` is
// over.
#pragma once
#include <chrono>

#include "net/stream.h"

namespace redoubt::kubelet {

// Returns when both are done with. After either side's end the other may go on for `abandoned`; then both are aborted.
// Cancelling aborts both at once.
Task<void> carry_exec(net::StreamPtr client, net::StreamPtr runtime, std::chrono::milliseconds abandoned);

}  // namespace redoubt::kubelet
