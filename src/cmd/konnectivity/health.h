// The small plain-HTTP ports of konnectivity-server and -agent: /healthz, /readyz, /ready, /metrics.
#pragma once
#include <functional>
#include <string>

#include "net/http_server.h"

namespace redoubt::cmd {

// `not_ready` gives an empty text when ready, else what /readyz says with `not_ready_status`.
net::Handler make_health_handler(std::function<std::string()> not_ready, int not_ready_status);
// /metrics alone.
net::Handler make_metrics_handler();

// HttpServer::start, where an empty address (and no unix socket) means all: of both families, or of IPv4 where the
// machine has no IPv6.
Result<std::unique_ptr<net::HttpServer>> start_listening(net::LoopPool& loops, net::HttpServerOptions options);

}  // namespace redoubt::cmd
