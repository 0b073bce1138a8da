// Authentication: from a request's certificate, headers or bearer token to a user. Paths client-apiserver,
// kubelet-apiserver, pod-apiserver, component-apiserver.
//
// In upstream's order: front proxy, client certificate, bearer token (file, ServiceAccount, bootstrap, OIDC issuers,
// webhook), anonymous where that is allowed. The first that knows the credential answers; a wrong credential is 401,
// never anonymous, and why is for the server's log only. Everything decides at once but an issuer whose keys have to
// be fetched and a webhook that has to be asked. Any thread.
#pragma once
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apiserver/auth/authentication.h"
#include "apiserver/auth/authentication_config.h"
#include "apiserver/auth/bootstrap_token.h"
#include "apiserver/auth/front_proxy.h"
#include "apiserver/auth/oidc.h"
#include "apiserver/auth/service_account_token.h"
#include "apiserver/auth/token_file.h"
#include "apiserver/auth/webhook_token.h"
#include "apiserver/auth/x509.h"
#include "base/pending.h"
#include "base/status.h"
#include "net/http.h"
#include "store/store.h"

namespace redoubt::apiserver {

struct AuthenticatorOptions {
  std::shared_ptr<const pki::TrustBundle> client_ca;  // null: no client certificates
  FrontProxyOptions front_proxy;
  ServiceAccountOptions service_accounts;
  std::vector<std::string> api_audiences = {"https://kubernetes.default.svc.cluster.local"};
  bool bootstrap_tokens = true;
  std::vector<StaticToken> static_tokens;  // --token-auth-file
  std::vector<JwtIssuer> jwt_issuers;
  std::optional<WebhookTokenOptions> webhook;
  AnonymousPolicy anonymous = {.paths = {"/livez", "/readyz", "/healthz",
                                         // Signed, for joining nodes that know nothing yet.
                                         "/api/v1/namespaces/kube-public/configmaps/cluster-info"}};
  // A file that `jwt_issuers` and `anonymous` came from (--authentication-config): taken over again when it changes.
  std::string config_file;
  Dial dial;  // towards issuers and webhooks; null: straight
  store::Store* store = nullptr;
};

class Authenticator {
 public:
  // `loop`: where issuers and webhooks are asked from; needed with any of them. BadRequest says which option is wrong.
  static Result<std::unique_ptr<Authenticator>> make(AuthenticatorOptions options, std::optional<Executor> loop);
  ~Authenticator();

  // Unauthorized (401) for a wrong or missing credential. `request` outlives the answer.
  Pending<Result<Authentication>> authenticate(const net::Request& request) const;
  // For TokenReview: who a token stands for. `audiences` empty: the API's own.
  Pending<Result<Authentication>> authenticate_token(std::string token, std::vector<std::string> audiences) const;
  // Takes every credential off a request, and whatever else says who the user is.
  void clear_credentials(net::Headers& headers) const;

  const ServiceAccountTokens& service_accounts() const { return service_accounts_; }
  const AuthenticatorOptions& options() const { return options_; }
  // On the loop: ends what runs there.
  Task<void> stop();

 private:
  using Issuers = std::vector<std::shared_ptr<OidcAuthenticator>>;
  Authenticator(AuthenticatorOptions options, std::optional<Executor> loop);
  std::shared_ptr<const Issuers> make_issuers(const std::vector<JwtIssuer>& issuers) const;
  Attempt by_local_token(std::string_view token, const std::vector<std::string>& audiences) const;
  static Task<Result<Authentication>> finish(Task<Result<Authentication>> task);
  Task<void> watch_config();

  const AuthenticatorOptions options_;
  const std::optional<Executor> loop_;
  FrontProxy front_proxy_;
  CertificateAuthenticator certificates_;
  StaticTokens static_tokens_;
  ServiceAccountTokens service_accounts_;
  BootstrapTokens bootstrap_tokens_;
  std::atomic<std::shared_ptr<const Issuers>> issuers_;
  std::atomic<std::shared_ptr<const AnonymousPolicy>> anonymous_;
  std::unique_ptr<WebhookTokens> webhook_;
  std::unique_ptr<Scope> scope_;  // of the loop
};

}  // namespace redoubt::apiserver
