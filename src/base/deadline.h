// A time limit on work.
#pragma once
#include <chrono>

#include "base/task.h"

namespace redoubt {

// Runs `work` as a child for at most `limit`. False when the time was up first: the work was then cancelled, and has
// ended either way when this returns. Cancelling the caller cancels the work. References that `work` holds may be to
// the caller's own.
Task<bool> finish_within(std::chrono::nanoseconds limit, Task<void> work);

}  // namespace redoubt
