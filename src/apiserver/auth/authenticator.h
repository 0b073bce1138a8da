// Authentication: from a request's certificate or bearer token to a UserInfo. Paths client-apiserver,
// kubelet-apiserver, pod-apiserver, component-apiserver.
//
// Certificates are verified against the client CA once a connection, a token's signature once while it is remembered;
// what a ServiceAccount token is bound to (account, pod, secret or node with that uid) is looked up in the store each
// time, so a deleted pod's token ends with it. A valid certificate goes before a token, as upstream. A wrong credential
// is 401, never anonymous; why is for the server's log only. Any thread.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "apiserver/auth/user.h"
#include "base/status.h"
#include "net/http.h"
#include "pki/certificate.h"
#include "pki/jwt.h"
#include "store/store.h"

namespace redoubt::apiserver {

inline constexpr std::string_view kBootstrapGroup = "system:bootstrappers";

struct StaticToken {
  std::string token;
  UserInfo user;
};
// The lines `token,user,uid,"group1,group2"` of a static token file. BadRequest names the line.
Result<std::vector<StaticToken>> parse_token_file(std::string_view csv);

struct AuthenticatorOptions {
  std::shared_ptr<const pki::TrustBundle> client_ca;
  std::shared_ptr<const pki::TokenVerifier> service_account_keys;
  std::shared_ptr<const pki::TokenSigner> service_account_signer;
  std::string service_account_issuer = "https://kubernetes.default.svc.cluster.local";
  std::vector<std::string> api_audiences = {"https://kubernetes.default.svc.cluster.local"};
  std::vector<std::string> anonymous_paths = {"/livez", "/readyz", "/healthz"};  // exactly these
  std::vector<StaticToken> static_tokens;                                        // --token-auth-file
  store::Store* store = nullptr;
};

struct TokenRequestSpec {
  std::string namespace_, service_account, service_account_uid;
  std::vector<std::string> audiences;
  int64_t expiration_seconds = 3600;
  std::string bound_kind, bound_name, bound_uid;  // Pod, Secret or Node; empty: not bound
  std::string node_name, node_uid;                // of a bound pod
};

class Authenticator {
 public:
  explicit Authenticator(AuthenticatorOptions options) : options_(std::move(options)) {}

  // Unauthorized (401) for a wrong or missing credential; system:anonymous on the paths that allow it.
  Result<UserInfo> authenticate(const net::Request& request) const;
  // For TokenReview: who a token stands for. `audiences` empty: the API's own. `matched` gets the audiences that fit.
  Result<UserInfo> authenticate_token(std::string_view token, const std::vector<std::string>& audiences,
                                      std::vector<std::string>& matched) const;
  // A signed ServiceAccount token and when it ends.
  std::pair<std::string, Timestamp> issue_token(const TokenRequestSpec& spec) const;
  const AuthenticatorOptions& options() const { return options_; }

 private:
  struct Claims;
  Result<UserInfo> by_certificate(const net::ConnectionInfo& connection) const;
  Result<UserInfo> by_service_account_token(std::string_view token, const std::vector<std::string>& audiences,
                                            std::vector<std::string>& matched) const;
  Result<UserInfo> by_bootstrap_token(std::string_view token) const;
  Result<std::shared_ptr<const Claims>> verified_claims(std::string_view token) const;
  AuthenticatorOptions options_;
  mutable std::mutex mutex_;                                                         // guards `verified_`
  mutable std::unordered_map<std::string, std::shared_ptr<const Claims>> verified_;  // by the token's SHA-256
};

}  // namespace redoubt::apiserver
