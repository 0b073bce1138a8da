#include "apiserver/pipeline/pipeline.h"
#include "base/log.h"

namespace redoubt::apiserver::pipeline {

namespace {

Result<void> take(Services& s, Context& c, Result<Authentication> answer) {
  if (!answer) {
    // Why is for the log only: an answer would tell a guesser how far they came.
    const std::string from = c.request.connection ? c.request.connection->remote_address : "";
    if (auto left_out = s.failed_authentications.take()) {
      log_warning("authentication failed",
                  {{"from", from}, {"error", answer.error().message()}, {"others_not_logged", *left_out}});
    } else {
      log_debug("authentication failed", {{"from", from}, {"error", answer.error().message()}});
    }
    return unauthorized();
  }
  c.user = std::move(answer->user);
  if (!answer->warning.empty()) c.warnings.push_back(std::move(answer->warning));
  c.seen_addresses = &s.seen_addresses;
  if (std::string_view node = c.user.node_name(); !node.empty() && c.request.connection) {
    const std::string& from = c.request.connection->remote_address;
    s.seen_addresses.saw(node, from);
    // From this very machine: the address that it is reached by is the node's as well.
    if (from == "::1" || from.starts_with("127.")) s.seen_addresses.saw(node, s.options.advertise_address);
  }
  // No handler, and nothing that a request is handed on to, needs to see the credential again.
  s.authenticator->clear_credentials(c.request.headers);
  return {};
}

Task<Result<void>> wait(Services& s, Context& c, Task<Result<Authentication>> answer) {
  co_return take(s, c, co_await std::move(answer));
}

}  // namespace

Verdict authenticate(Services& s, Context& c) {
  auto answer = s.authenticator->authenticate(c.request);
  if (answer.is_here()) return take(s, c, std::move(answer.value()));
  return wait(s, c, answer.task());
}

}  // namespace redoubt::apiserver::pipeline
