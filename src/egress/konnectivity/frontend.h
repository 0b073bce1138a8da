// The two ways an API server asks for a connection: ProxyService by gRPC, one connection a stream, and HTTP CONNECT.
#pragma once
#include <memory>

#include "egress/konnectivity/server.h"

namespace redoubt::konnectivity {

// Serves one ProxyService stream: the first dial on it is its only connection, as upstream's client uses it.
Task<Result<void>> serve_frontend(std::shared_ptr<Server> server, net::GrpcCall& call);

// Serves one request; all but CONNECT are refused with 405. Dial errors get upstream's codes: 504 for a timeout, 503
// for want of resources, 502 otherwise, 500 without an agent.
Task<void> serve_http_connect(std::shared_ptr<Server> server, net::Request request, net::Responder& responder);

}  // namespace redoubt::konnectivity
