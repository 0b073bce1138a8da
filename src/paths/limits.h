// Every bound of paths/, with its reason.
#pragma once
#include <chrono>
#include <cstddef>

namespace redoubt::paths {

// One connection of an observer or a probe: long enough for a far network, short enough for people who wait.
inline constexpr std::chrono::milliseconds kDialTimeout{4'000};
// All that is read of an answer to a probe: its status line and the beginning of what it says.
inline constexpr size_t kAnswerBytes = 16 * 1024;
// Nodes that are looked at one by one; beyond, the report says how many were left out. A look takes a few connections.
inline constexpr size_t kMaxNodes = 500;
// Nodes that are looked at at once: the blocking pool has four threads.
inline constexpr size_t kParallelNodes = 4;
// A cluster's objects of one kind that are asked for at once.
inline constexpr int kPageSize = 500;
// How old a lease's last renewal may be to count as live: upstream's node monitor grace period.
inline constexpr std::chrono::seconds kLeaseGrace{40};
// A certificate with fewer days is about to fail, and nothing seems to renew it.
inline constexpr int kFewDays = 14;
// A report that the server made is served for so long before it makes another.
inline constexpr std::chrono::seconds kReportLife{4};

}  // namespace redoubt::paths
