// Connections to extension API servers: to a Service's ready endpoints by their nodes' tunnels (path
// apiserver-webhook), each verified for the Service's name by the APIService's caBundle, and shown the front-proxy
// certificate by which it knows this server. Clients belong to the calling loop.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apiserver/aggregation/api_services.h"
#include "apiserver/proxy/client_pool.h"
#include "egress/dialer.h"
#include "store/store.h"

namespace redoubt::apiserver {

class ExtensionServers {
 public:
  // The certificate and key that other servers know this one by; asked for with each request. Any thread.
  using Identity = std::function<std::pair<std::string, std::string>()>;
  ExtensionServers(egress::Dialer& dialer, const store::Store& store, Identity identity)
      : dialer_(dialer), store_(store), identity_(std::move(identity)) {}

  // One client a ready endpoint, in turn; ServiceUnavailable where there is none, or where the object is objected to.
  Result<std::vector<std::shared_ptr<net::HttpClient>>> clients(Executor executor, const ApiService& service);
  // True for an error of clients(): nobody was reached, another endpoint may be tried.
  static bool was_not_reached(const Status& status);
  // Drops kept connections; see ClientPool.
  void clear() { pool_.clear(); }

 private:
  egress::Dialer& dialer_;
  const store::Store& store_;
  const Identity identity_;
  ClientPool pool_;
};

}  // namespace redoubt::apiserver
