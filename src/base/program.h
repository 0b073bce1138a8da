// Runs another program (ip, wg) and waits for it.
#pragma once
#include <string>
#include <vector>

#include "base/status.h"

namespace redoubt {

// What the program printed on standard output, at most 256 KB of it. `input` is its standard input. Errors:
// ServiceUnavailable when it can't be started or isn't done after ten seconds (it is killed then), InternalError with
// its last words when it fails. Never a shell. Blocking: for run_blocking() or before the loops run.
Result<std::string> run_program(const std::vector<std::string>& words, std::string_view input = {});

}  // namespace redoubt
