// A request passed on to another server without understanding it: the answer streamed back, or, for an upgrade, both
// connections spliced. Results: an error is one that the caller must still answer with; success means that the request
// was answered, whatever with.
#pragma once
#include <functional>
#include <string>

#include "net/http.h"
#include "net/http_client.h"

namespace redoubt::apiserver {

// What of a client's headers may go on: not its credentials, identity claims, cookies, nor what belongs to its own
// connection.
net::Headers forwardable_headers(const net::Headers& headers);

// How an answer's headers and body are changed on their way back.
struct RelayHooks {
  // Headers of the request, after forwardable_headers().
  std::function<void(net::Headers& headers)> request_headers;
  // Headers of the answer, without those of its connection. An error is answered in its place.
  std::function<Result<void>(int status, net::Headers& headers)> answer_headers;
  // Called after answer_headers; a function given back transforms the body: each piece, and, with `end`, what is left.
  using Transform = std::function<Result<std::string>(std::string_view piece, bool end)>;
  std::function<Transform(int status, net::Headers& headers)> body;
};

struct RelayTarget {
  net::HttpClient& client;
  std::string target;     // path with query
  std::string authority;  // the Host that the backend sees; empty: its own
};

// Method, headers, body and trailers go on; status, headers, body and trailers come back as they arrive. Either side's
// body may be the slow one.
Task<Result<void>> relay_request(net::Request& request, net::Responder& responder, RelayTarget to,
                                 RelayHooks hooks = {});

// The client's Upgrade goes on (SPDY/3.1, or a WebSocket as it is, which over HTTP/2 comes as an extended CONNECT);
// after 101 the two connections are one. Any other answer goes to the client as an ordinary one: the backend's
// connection is closed with it, and the client's further requests are the API server's (CVE-2018-1002105).
Task<Result<void>> relay_upgrade(net::Request& request, net::Responder& responder, RelayTarget to,
                                 RelayHooks hooks = {});

// For a server's answer that was no 101: status, content type and (bounded) body go to the client.
Task<Result<void>> pass_refusal(net::Responder& responder, net::UpgradeResponse refusal);

// An error of the connection itself, as users know it: "error dialing backend: ...", 500.
Status backend_error(const Status& status);

}  // namespace redoubt::apiserver
