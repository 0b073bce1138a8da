// Every bound of egress/, with its reason.
#pragma once
#include <chrono>
#include <cstddef>

namespace redoubt::egress {

// Streams that a server may have open over one tunnel: what one node's kubelet and pods can be asked for at once.
inline constexpr size_t kTunnelStreams = 16 * 1024;
// The headers of a CONNECT: an authority and a path id.
inline constexpr size_t kTunnelHeaderBytes = 4 * 1024;
// How long a dial waits for a node whose tunnel was lost within the time below, and how often it looks.
inline constexpr std::chrono::milliseconds kReturnWait{5000};
inline constexpr std::chrono::milliseconds kReturnPoll{20};
inline constexpr std::chrono::seconds kLostLately{30};
// A tunnel that held so long is dialled again without the waits that failures add up.
inline constexpr std::chrono::seconds kSteadyTunnel{10};
// An address that led to a server that has a tunnel already is tried again after this.
inline constexpr std::chrono::seconds kDuplicateRetry{60};

}  // namespace redoubt::egress
