// HTTP CONNECT as a client: through the proxy that a machine's way out may need, and through upstream's
// konnectivity-server.
#pragma once
#include <chrono>
#include <string>

#include "base/status.h"
#include "base/task.h"
#include "net/stream.h"

namespace redoubt::net {

// A proxy's answer to CONNECT: status line and headers.
inline constexpr size_t kConnectAnswerBytes = 16 * 1024;

// Asks the proxy at the other end of `stream` to connect to `authority` ("host:port"), and gives the stream that leads
// there. `authorization` is the value of Proxy-Authorization, or empty; it is in no error. Aborts and fails after
// `timeout`, and when the answer isn't 2xx (the error holds the proxy's status line).
Task<Result<StreamPtr>> http_connect(StreamPtr stream, std::string authority, std::string authorization,
                                     std::chrono::milliseconds timeout);

}  // namespace redoubt::net
