// What metrics see of every dial, by path and by the kind of way it took: dials, failures, duration, open streams,
// bytes.
#pragma once
#include <chrono>
#include <memory>
#include <string_view>

#include "egress/dialer.h"

namespace redoubt::egress {

struct DialMetrics;
// Of one path and kind; kept for ever. Takes a lock when first asked for.
DialMetrics& dial_metrics(PathId path, std::string_view kind);

// Counts the outcome of a dial and, from then on, the stream's bytes.
Result<net::StreamPtr> counted(Result<net::StreamPtr> dialled, DialMetrics& metrics,
                               std::chrono::steady_clock::duration took);

}  // namespace redoubt::egress
