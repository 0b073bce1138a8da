#include "apiserver/pipeline/pipeline.h"
#include "base/log.h"

namespace redoubt::apiserver::pipeline {

Verdict authenticate(Services& s, Context& c) {
  auto user = s.authenticator.authenticate(c.request);
  if (!user) {
    log_debug("authentication failed", {{"from", c.request.connection ? c.request.connection->remote_address : ""},
                                        {"error", user.error().message()}});
    return unauthorized();
  }
  c.user = std::move(*user);
  // No handler, and nothing that a request is handed on to, needs to see the credential again.
  c.request.headers.remove("authorization");
  return {};
}

}  // namespace redoubt::apiserver::pipeline
