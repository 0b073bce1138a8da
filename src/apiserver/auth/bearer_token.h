// Where a request carries its bearer token.
#pragma once
#include <string>

#include "net/http.h"

namespace redoubt::apiserver {

// The token of the Authorization header, or of a WebSocket's subprotocol (browsers can't set headers:
// base64url.bearer.authorization.k8s.io.TOKEN besides the one that is spoken). Empty when there is none.
std::string bearer_token(const net::Headers& headers);
// Takes it off, so that nothing further on sees it.
void remove_bearer_token(net::Headers& headers);

}  // namespace redoubt::apiserver
