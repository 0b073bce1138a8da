// The API server: one handler for the secure port, wired from its parts.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "apiserver/admission.h"
#include "apiserver/auth/authenticator.h"
#include "apiserver/auth/authorizer.h"
#include "apiserver/connect.h"
#include "apiserver/rest.h"
#include "egress/dialer.h"
#include "net/immediate.h"

namespace redoubt::apiserver {

namespace audit {
class Auditor;
}

// A page of the server's own beside the API, made anew for each request, on the request's loop.
struct Document {
  std::string type;  // content-type
  std::string body;
  net::Headers headers;  // further ones
};
using DocumentSource = std::function<Task<Result<Document>>()>;

// What is published for extension API servers (kube-system/extension-apiserver-authentication), PEM.
struct PublishedAuthorities {
  std::string clients;          // whose client certificates count here
  std::string front_proxies;    // of those that flags name; may be empty
  std::string own_front_proxy;  // of front_proxy_client; empty where there is none
};
// The name in its certificate.
inline constexpr std::string_view kFrontProxyName = "front-proxy-client";

struct ApiServerOptions {
  store::Store* store = nullptr;
  AuthenticatorOptions authentication;
  AuthorizerOptions authorization;
  std::optional<Executor> loop;  // where issuers and webhooks are asked from; needed with any of them
  std::string service_cluster_ip_range = "10.96.0.0/12";  // or two with a comma between, one of each family
  std::string service_node_port_range = "30000-32767";
  std::string advertise_address;
  uint16_t advertise_port = 6443;
  std::string client_ca_pem;  // the cluster's CA, for pods
  PublishedAuthorities authorities;
  std::string service_account_jwks_uri;  // default: this server's own
  size_t max_requests_inflight = 400;
  size_t max_mutating_requests_inflight = 200;
  // Further checks of /livez, /readyz and /healthz, by name. Any thread.
  std::vector<std::pair<std::string, std::function<Result<void>()>>> health_checks;
  // By their whole path; GET, authorized as non-resource URLs.
  std::map<std::string, DocumentSource, std::less<>> documents;
  audit::Auditor* auditor = nullptr;  // null: nothing is audited
  // Certificate and key by which extension API servers know this one as their front proxy; null: none is called.
  std::function<std::pair<std::string, std::string>()> front_proxy_client;
  egress::Dialer* dialer = nullptr;   // to admission webhooks; null: none are called
  ConnectHandler* connect = nullptr;  // null: such requests answer 503
  TunnelHandler* tunnels = nullptr;   // null: nodes' tunnels get a 404
};

class ApiServer {
 public:
  // Blocking: files that the options name are read.
  static Result<std::unique_ptr<ApiServer>> make(ApiServerOptions options);
  ~ApiServer();
  // For net::HttpServer; any loop.
  net::Starter starter();
  // Makes what every cluster has: namespaces, RBAC's default policy, priority classes, the `kubernetes` Service. Before
  // /readyz is ok.
  Task<Result<void>> bootstrap();
  // Publishes other authorities than the options had.
  Task<Result<void>> publish(PublishedAuthorities authorities);
  // Drops kept connections towards the cluster: after the loops have stopped and before they are gone.
  void clear();
  // Puts back what the server itself publishes, should somebody remove or change it (the Service `kubernetes` with its
  // endpoints, the default ServiceCIDR), and brings Services' addresses and the IPAddress objects into agreement. Until
  // cancelled.
  Task<void> keep_published();
  std::string service_ip() const;
  const Authenticator& authenticator() const;
  // On the loop of the options: ends what the server itself runs there. Before the loops stop.
  Task<void> stop();

 private:
  explicit ApiServer(ApiServerOptions options);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace redoubt::apiserver
