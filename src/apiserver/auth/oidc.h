// Tokens of an OpenID Connect issuer: verified with the keys that the issuer publishes, mapped to a user by claims.
//
// Keys come from the issuer's discovery document over HTTPS, verified. They are fetched when first needed, when a token
// is signed by a key that is not among them (rotation), and in the background once they are old; fetches of many askers
// are joined, failed ones wait longer each time, and tokens with unknown keys can't cause more than a trickle. Any
// thread; the fetches run on one loop.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "apiserver/auth/authentication.h"
#include "apiserver/auth/authentication_config.h"
#include "apiserver/auth/https_caller.h"
#include "apiserver/auth/joined_lookups.h"
#include "base/pending.h"
#include "pki/jwks.h"

namespace redoubt::apiserver {

class OidcAuthenticator : public std::enable_shared_from_this<OidcAuthenticator> {
 public:
  // Starts fetching the keys. `api_audiences`: what a token of this issuer is good for.
  static std::shared_ptr<OidcAuthenticator> make(Executor loop, JwtIssuer issuer,
                                                 std::vector<std::string> api_audiences, Dial dial);
  const std::string& url() const { return issuer_.url; }
  // For a token that claims to be of this issuer.
  Pending<Result<Authentication>> authenticate(std::string_view token, const std::vector<std::string>& audiences);
  // On the loop: ends a fetch.
  Task<void> stop() { return fetches_.stop(); }

 private:
  using KeysPtr = std::shared_ptr<const pki::KeySet>;
  struct Known {
    UserInfo user;
    std::chrono::steady_clock::time_point until;
  };
  OidcAuthenticator(Executor loop, JwtIssuer issuer, std::vector<std::string> api_audiences, Dial dial);
  // What verified claims say.
  Result<UserInfo> accept(const std::string& digest, const std::string& claims);
  Result<Authentication> answer(UserInfo user, const std::vector<std::string>& audiences) const;
  static Task<Result<Authentication>> verify_with_new_keys(std::shared_ptr<OidcAuthenticator> self, std::string digest,
                                                           std::string token, std::vector<std::string> audiences);
  bool may_fetch(bool for_unknown_key);
  void refresh();
  JoinedLookups<KeysPtr>::Question fetch_question();
  static Task<Result<KeysPtr>> fetch(std::shared_ptr<OidcAuthenticator> self);
  Task<Result<std::string>> get(std::string url);

  const Executor loop_;
  const JwtIssuer issuer_;
  const std::vector<std::string> api_audiences_;
  const Dial dial_;
  std::string jwks_uri_;  // belongs to the loop
  std::atomic<KeysPtr> keys_;
  JoinedLookups<KeysPtr> fetches_;
  std::mutex mutex_;                              // guards what follows
  std::unordered_map<std::string, Known> known_;  // by the token's SHA-256
  std::chrono::steady_clock::time_point fetched_{}, next_fetch_{}, refilled_{};
  std::chrono::milliseconds backoff_{0};
  double unknown_key_fetches_ = kUnknownKeyBurst;
};

}  // namespace redoubt::apiserver
