// ServiceAccount tokens: issued for an account, its pod, node or secret and for audiences; and the old ones that live
// in Secrets.
//
// A token's signature is checked once while it is remembered. What it is bound to (account, pod, secret or node with
// that uid) is looked up in the store each time, so a deleted pod's token ends with it. Any thread.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "apiserver/auth/authentication.h"
#include "pki/jwt.h"
#include "store/store.h"

namespace redoubt::apiserver {

struct ServiceAccountOptions {
  std::shared_ptr<const pki::TokenVerifier> keys;  // several while keys are rotated
  std::shared_ptr<const pki::TokenSigner> signer;  // null: no tokens are issued
  std::vector<std::string> issuers = {"https://kubernetes.default.svc.cluster.local"};  // the first one issues
  std::chrono::seconds max_expiration{0};  // --service-account-max-token-expiration; 0: none
  // Tokens that kubelets project for pods live a year, so that programs which read them once keep working.
  bool extend_expiration = false;
};

struct TokenRequestSpec {
  std::string namespace_, service_account, service_account_uid;
  std::vector<std::string> audiences;
  int64_t expiration_seconds = 3600;
  std::string bound_kind, bound_name, bound_uid;  // Pod, Secret or Node; empty: not bound
  std::string node_name, node_uid;                // of a bound pod
};

class ServiceAccountTokens {
 public:
  // `store` outlives this.
  ServiceAccountTokens(ServiceAccountOptions options, std::vector<std::string> api_audiences, const store::Store& store)
      : options_(std::move(options)), api_audiences_(std::move(api_audiences)), store_(store) {}
  // Nothing for a token that is another issuer's, or none of ours at all.
  Attempt authenticate(std::string_view token, const std::vector<std::string>& audiences) const;
  // A signed token and when it ends. ServiceUnavailable without a signing key.
  Result<std::pair<std::string, Timestamp>> issue(const TokenRequestSpec& spec) const;
  const ServiceAccountOptions& options() const { return options_; }

 private:
  struct Claims;
  using ClaimsPtr = std::shared_ptr<const Claims>;
  Result<ClaimsPtr> verified_claims(std::string_view token, const std::string& digest) const;
  Result<Authentication> check(const Claims& claims, const std::vector<std::string>& audiences) const;
  Result<Authentication> check_legacy(const Claims& claims, std::string_view token,
                                      const std::vector<std::string>& audiences) const;
  ServiceAccountOptions options_;
  std::vector<std::string> api_audiences_;
  const store::Store& store_;
  mutable std::mutex mutex_;                                     // guards the two below
  mutable uint64_t generation_ = 0;                              // of the keys that `verified_` was verified with
  mutable std::unordered_map<std::string, ClaimsPtr> verified_;  // by the token's SHA-256
};

}  // namespace redoubt::apiserver
