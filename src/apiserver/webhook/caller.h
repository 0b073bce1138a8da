// One call of a webhook over https, its server's certificate verified by the configuration's caBundle (or the system's
// roots) for the name of the Service or of the URL. Path apiserver-webhook. Any loop.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/proxy/client_pool.h"
#include "egress/dialer.h"
#include "store/store.h"

namespace redoubt::apiserver {

struct WebhookTarget {
  std::string url;  // https://host[:port]/path, or empty
  std::string service_namespace, service_name, path;
  uint16_t port = 443;
  std::string ca_pem;
  std::string certificate_pem, private_key_pem;  // shown to the server; may be empty
};

// A ready endpoint of a Service's port, and the node it runs on where that is known.
struct ServiceEndpoint {
  std::string node;
  net::Address address;
};
// In turn by `seed`; at most kMaxEndpointTries. ServiceUnavailable when there is none. Endpoints need no pod behind
// them: who answers there has to prove to be the Service.
Result<std::vector<ServiceEndpoint>> ready_endpoints(const store::Store& store, std::string_view ns,
                                                     std::string_view name, uint16_t port, size_t seed);

class WebhookCaller {
 public:
  WebhookCaller(egress::Dialer& dialer, const store::Store& store) : dialer_(dialer), store_(store) {}
  // POSTs JSON and gives the answer's body. Errors say what went wrong on the way, as upstream does: `Post
  // "https://x.ns.svc:443/validate?timeout=10s": ...`.
  Task<Result<std::string>> post(WebhookTarget target, std::string body, std::chrono::milliseconds timeout);
  void clear() { pool_.clear(); }

 private:
  struct Place {
    std::string host, path, node;
    net::Address address;
    bool in_cluster = false;
  };
  Task<Result<std::string>> post_to(Place place, WebhookTarget target, std::string body,
                                    std::chrono::milliseconds timeout);
  Result<std::vector<Place>> places(const WebhookTarget& target);

  egress::Dialer& dialer_;
  const store::Store& store_;
  ClientPool pool_;
};

}  // namespace redoubt::apiserver
