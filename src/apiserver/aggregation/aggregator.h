// Requests for groups that other API servers serve, passed on to them over verified https (path apiserver-webhook).
//
// The user is authenticated, audited and authorized here; the other server is told who it is in front-proxy headers,
// which it believes because of the client certificate shown with them (kube-system/extension-apiserver-authentication
// says of which authority). The client's own credentials never go on. A server is verified for its Service's name by
// spec.caBundle; one that asks not to be verified (insecureSkipTLSVerify) is not called. Any loop, but for start() and
// stop().
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "apiserver/aggregation/api_services.h"
#include "apiserver/aggregation/availability.h"
#include "apiserver/aggregation/extension_servers.h"
#include "apiserver/context.h"
#include "apiserver/discovery/discovery.h"
#include "apiserver/rest.h"
#include "egress/dialer.h"

namespace redoubt::apiserver {

class Aggregator {
 public:
  Aggregator(egress::Dialer& dialer, Rest& rest, ExtensionServers::Identity identity);

  // Who serves the path, when that is another server; null: it is this server's own. The path as sent, escapes kept.
  std::shared_ptr<const ApiService> server_of(std::string_view path);
  // Answers the request, which is authorized already, with what that server answers, or with why there is no answer.
  Task<void> pass_on(Context& context, std::shared_ptr<const ApiService> service);
  // Discovery's document at /apis or /apis/G with the others' groups; nothing where this server's own is right.
  std::optional<DiscoveryDocument> discovery(std::string_view path, std::string_view accept);
  // The index at /openapi/v3 with the others' group versions; nothing where `own` is right.
  std::optional<DiscoveryDocument> openapi_index(std::string_view own);
  // See AvailabilityChecks.
  void start(Executor executor) { checks_.start(std::move(executor)); }
  Task<void> stop() { return checks_.stop(); }
  // Drops kept connections; see ClientPool.
  void clear() { servers_.clear(); }

 private:
  KnownResources known();

  ApiServices services_;
  ExtensionServers servers_;
  AvailabilityChecks checks_;
};

}  // namespace redoubt::apiserver
