// Joins a connection of a tunnel with a byte stream: a target's socket, an HTTP CONNECT client, a pipe to another loop.
#pragma once
#include <memory>

#include "egress/konnectivity/link.h"
#include "net/stream.h"

namespace redoubt::konnectivity {

// Carries bytes both ways until both directions ended. What one side wrote before it ended or closed still reaches the
// other. Cancelling drops both.
Task<void> carry(net::StreamPtr stream, std::unique_ptr<Connection> connection);

}  // namespace redoubt::konnectivity
