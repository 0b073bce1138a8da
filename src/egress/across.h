// Dialling on the loop that a tunnel belongs to, from any other.
#pragma once
#include <functional>
#include <memory>

#include "base/task.h"
#include "net/stream.h"

namespace redoubt::egress {

// Runs `dial` as a child of `scope` on its loop, and gives the stream to the calling loop; on the same loop it is
// called as it is. Whoever waits may be cancelled: the dial then ends by itself, and what it opened is dropped. `scope`
// must not be destroyed while its loop runs; a `dial` that starts after it was joined must return without waiting.
Task<Result<net::StreamPtr>> dial_across(std::shared_ptr<Scope> scope,
                                         std::function<Task<Result<net::StreamPtr>>()> dial);

}  // namespace redoubt::egress
