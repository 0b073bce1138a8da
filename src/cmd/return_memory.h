// Gives back to the kernel what the allocator kept after a burst: lists, watches and imports come and go, and a small
// machine has other uses for it.
#pragma once
#include "base/task.h"

namespace redoubt::cmd {

// Looks at the process's resident memory now and then, and trims the heap when it has grown since the last time. Until
// cancelled; idle it costs next to nothing.
Task<void> return_memory();

}  // namespace redoubt::cmd
