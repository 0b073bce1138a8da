#include "apiserver/aggregation/aggregator.h"

#include <boost/asio/this_coro.hpp>

#include "apiserver/aggregation/passed_on.h"
#include "apiserver/encode.h"
#include "apiserver/proxy/kubelet_access.h"
#include "apiserver/proxy/relay.h"
#include "base/log.h"
#include "base/metrics.h"

namespace redoubt::apiserver {

namespace {

constexpr std::string_view kPath = "apiserver-webhook";

void count(const ApiService& service, std::string_view outcome) {
  counter("redoubt_aggregator_requests_total", "Requests passed on to extension API servers, by what came of them.",
          {{"path", std::string(kPath)}, {"apiservice", service.name}, {"result", std::string(outcome)}})
      .add();
}

Result<void> check_answer(int status, net::Headers& headers) {
  // Clients follow redirects with their credentials (CVE-2022-3172).
  if (status / 100 == 3 && headers.has("location"))
    return Error(Status(502, "", "the backend attempted to redirect this request, which is not permitted"));
  // Cookies of this origin are this server's.
  headers.remove("set-cookie");
  return {};
}

// What a client is told when no server could be asked, or none whose answer counts.
Status failure(const Status& status) {
  bool said_what = status.code() == 400 || status.code() == 502;
  if (said_what && !ExtensionServers::was_not_reached(status) && !is_verification_failure(status)) return status;
  return service_unavailable("error trying to reach service: " + status.message()).error();
}

}  // namespace

Aggregator::Aggregator(egress::Dialer& dialer, Rest& rest, ExtensionServers::Identity identity)
    : services_(rest.store()),
      servers_(dialer, rest.store(), std::move(identity)),
      checks_(servers_, services_, rest) {}

std::shared_ptr<const ApiService> Aggregator::server_of(std::string_view path) {
  auto asked = asked_group_version(path);
  if (!asked || is_builtin(asked->group_version)) return nullptr;
  auto table = services_.current();
  const ApiService* found = table->find(asked->group, asked->version);
  return found == nullptr ? nullptr : std::shared_ptr<const ApiService>(std::move(table), found);
}

Task<void> Aggregator::pass_on(Context& c, std::shared_ptr<const ApiService> service) {
  auto executor = co_await boost::asio::this_coro::executor;
  c.annotate("redoubt.io/path", kPath);
  net::Headers who;
  Result<void> fit = unambiguous_path(c.request.path);
  if (fit) fit = tell_user(c.user, who);
  if (!fit) co_return co_await send_status(c, fit.error());
  auto clients = servers_.clients(executor, *service);
  if (!clients) {
    count(*service, "error");
    co_return co_await send_status(c, clients.error());
  }
  RelayHooks hooks;
  hooks.request_headers = [&](net::Headers& headers) {
    for (const auto& [name, value] : who) headers.add(name, value);
    if (c.request.connection && !c.request.connection->remote_address.empty())
      headers.add("x-forwarded-for", c.request.connection->remote_address);
  };
  hooks.answer_headers = check_answer;
  bool upgrade = c.request.wants_upgrade();
  for (size_t i = 0; i < clients->size(); ++i) {
    RelayTarget to{*(*clients)[i], c.request.target, service->host()};
    auto done = upgrade ? co_await relay_upgrade(c.request, c.responder, to, hooks)
                        : co_await relay_request(c.request, c.responder, to, hooks);
    if (done) {
      count(*service, "ok");
      co_return;
    }
    // Nothing was sent yet: the next one may answer.
    if (ExtensionServers::was_not_reached(done.error()) && i + 1 < clients->size()) continue;
    count(*service, "error");
    log_warning("extension API server failed",
                {{"path", kPath}, {"apiservice", service->name}, {"error", done.error().message()}});
    if (c.responder.started()) co_return;
    co_return co_await send_status(c, failure(done.error()));
  }
}

KnownResources Aggregator::known() {
  return [this](const std::string& group_version) { return checks_.resources(group_version); };
}

std::optional<DiscoveryDocument> Aggregator::discovery(std::string_view path, std::string_view accept) {
  if (path != "/apis" && !path.starts_with("/apis/")) return std::nullopt;
  return merged_discovery(*services_.current(), known(), path, accept);
}

std::optional<DiscoveryDocument> Aggregator::openapi_index(std::string_view own) {
  return merged_openapi_index(*services_.current(), known(), own);
}

}  // namespace redoubt::apiserver
