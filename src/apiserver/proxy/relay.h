// A request passed on to another server without understanding it: the answer streamed back, or, for an upgrade, both
// connections spliced. Results: an error is one that the caller must still answer with; success means that the request
// was answered, whatever with.
#pragma once
#include <string>

#include "net/http.h"
#include "net/http_client.h"

namespace redoubt::apiserver {

// What of a client's headers may go on: not its credentials, identity claims, cookies, nor what belongs to its own
// connection.
net::Headers forwardable_headers(const net::Headers& headers);

// Method, headers and body go to `target`; status, headers and body come back as they arrive.
Task<Result<void>> relay_request(net::Request& request, net::Responder& responder, net::HttpClient& client,
                                 std::string target);

// The client's Upgrade goes on (SPDY/3.1, or a WebSocket as it is); after 101 the two connections are one.
Task<Result<void>> relay_upgrade(net::Request& request, net::Responder& responder, net::HttpClient& client,
                                 std::string target);

// For a server's answer that was no 101: status, content type and (bounded) body go to the client.
Task<Result<void>> pass_refusal(net::Responder& responder, net::UpgradeResponse refusal);

// An error of the connection itself, as users know it: "error dialing backend: ...", 500.
Status backend_error(const Status& status);

}  // namespace redoubt::apiserver
