// Dialling through a proxy server of this process, from any of its loops.
#pragma once
#include <memory>
#include <string>

#include "egress/konnectivity/server.h"

namespace redoubt::konnectivity {

// The stream belongs to the calling loop; a pipe joins it with the server's. `node` as in Server::dial. Errors are the
// server's. `server` must stay on a loop that runs for as long as this waits.
Task<Result<net::StreamPtr>> dial_in_process(std::shared_ptr<Server> server, std::string address, std::string node = {},
                                             bool only_there = false);

}  // namespace redoubt::konnectivity
