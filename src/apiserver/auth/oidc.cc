#include "apiserver/auth/oidc.h"

#include <algorithm>

#include "apiserver/auth/oidc_claims.h"
#include "base/log.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kKeys = "keys";
// Verified tokens are good for this long without another look at their signature (upstream's token cache).
constexpr std::chrono::seconds kRemembered{10};

}  // namespace

OidcAuthenticator::OidcAuthenticator(Executor loop, JwtIssuer issuer, std::vector<std::string> api_audiences, Dial dial)
    : loop_(loop),
      issuer_(std::move(issuer)),
      api_audiences_(std::move(api_audiences)),
      dial_(std::move(dial)),
      fetches_(loop, [](const KeysPtr&) { return std::chrono::milliseconds(0); }) {}

std::shared_ptr<OidcAuthenticator> OidcAuthenticator::make(Executor loop, JwtIssuer issuer,
                                                           std::vector<std::string> api_audiences, Dial dial) {
  std::shared_ptr<OidcAuthenticator> out(
      new OidcAuthenticator(loop, std::move(issuer), std::move(api_audiences), std::move(dial)));
  out->refresh();
  return out;
}

JoinedLookups<OidcAuthenticator::KeysPtr>::Question OidcAuthenticator::fetch_question() {
  return [self = shared_from_this()] { return fetch(self); };
}

void OidcAuthenticator::refresh() {
  fetches_.start(kKeys, fetch_question());
}

// Whether the issuer may be asked now.
bool OidcAuthenticator::may_fetch(bool for_unknown_key) {
  std::lock_guard lock(mutex_);
  auto present = Clock::now();
  if (present < next_fetch_) return false;
  if (!for_unknown_key) return true;
  double seconds = std::chrono::duration<double>(present - refilled_).count();
  unknown_key_fetches_ = std::min(kUnknownKeyBurst, unknown_key_fetches_ + seconds / kUnknownKeySeconds);
  refilled_ = present;
  if (unknown_key_fetches_ < 1) return false;
  unknown_key_fetches_ -= 1;
  return true;
}

Task<Result<std::string>> OidcAuthenticator::get(std::string url) {
  HttpsCaller::Options options;
  options.url = std::move(url);
  options.ca_pem = issuer_.certificate_authority;
  options.timeout = kIssuerTimeout;
  options.dial = dial_;
  auto caller = HttpsCaller::make(loop_, std::move(options));
  if (!caller) co_return Error(caller.error());
  auto answer = co_await (*caller)->call("GET", "");
  if (!answer) co_return Error(answer.error());
  if (answer->status != 200) co_return service_unavailable(fmt::format("the issuer answered {}", answer->status));
  co_return std::move(answer->body);
}

Task<Result<OidcAuthenticator::KeysPtr>> OidcAuthenticator::fetch(std::shared_ptr<OidcAuthenticator> self) {
  auto failed = [&self](Status status, std::string_view what) -> Result<KeysPtr> {
    std::lock_guard lock(self->mutex_);
    self->backoff_ = std::clamp<std::chrono::milliseconds>(self->backoff_ * 2, kMinIssuerBackoff, kMaxIssuerBackoff);
    self->next_fetch_ = Clock::now() + self->backoff_;
    self->jwks_uri_.clear();  // it may have moved
    log_warning("an OIDC issuer's keys could not be fetched",
                {{"issuer", self->issuer_.url}, {"what", what}, {"error", status.message()}});
    return Error(std::move(status));
  };
  if (self->jwks_uri_.empty()) {
    std::string url = self->issuer_.discovery_url;
    if (url.empty()) {
      url = self->issuer_.url;
      while (url.ends_with('/')) url.pop_back();
      url += "/.well-known/openid-configuration";
    }
    auto document = co_await self->get(url);
    if (!document) co_return failed(document.error(), "discovery");
    schema::Arena arena;
    auto parsed = schema::parse_json(*document, arena);
    if (!parsed) co_return failed(parsed.error(), "discovery");
    std::string_view issuer = parsed->get({"issuer"}).as_string(), keys = parsed->get({"jwks_uri"}).as_string();
    if (issuer != self->issuer_.url) {
      co_return failed(bad_request(fmt::format("the document is issuer \"{}\"'s", issuer)).error(), "discovery");
    }
    if (auto ok = parse_https_url(keys.substr(0, keys.find('?'))); !ok)
      co_return failed(ok.error().with_context(fmt::format("jwks_uri \"{}\"", keys)), "discovery");
    self->jwks_uri_ = keys;
  }
  auto document = co_await self->get(self->jwks_uri_);
  if (!document) co_return failed(document.error(), "keys");
  auto keys = pki::KeySet::from_jwks(*document);
  if (!keys) co_return failed(keys.error(), "keys");
  {
    std::lock_guard lock(self->mutex_);
    self->backoff_ = {};
    self->fetched_ = Clock::now();
    self->next_fetch_ = {};
    self->known_.clear();  // a key that is gone backs nothing any more
  }
  self->keys_.store(*keys);
  log_info("an OIDC issuer's keys were fetched", {{"issuer", self->issuer_.url}, {"keys", (*keys)->size()}});
  co_return *keys;
}

Result<UserInfo> OidcAuthenticator::accept(const std::string& digest, const std::string& json) {
  schema::Arena arena;
  auto claims = schema::parse_json(json, arena);
  if (!claims || !claims->is_object()) return unauthorized("oidc: the token's claims are unreadable");
  Timestamp present = now();
  RD_TRYV(check_claims(issuer_, *claims, present));
  RD_TRY(UserInfo user, user_of_claims(issuer_, *claims));
  // In microseconds: an expiry may be centuries away.
  auto left = std::min<std::chrono::microseconds>(kRemembered, expiry_of(*claims) - present);
  auto until = Clock::now() + left;
  std::lock_guard lock(mutex_);
  if (known_.size() >= kMaxVerifiedTokens) known_.clear();
  known_.insert_or_assign(digest, Known{user, until});
  return user;
}

Result<Authentication> OidcAuthenticator::answer(UserInfo user, const std::vector<std::string>& audiences) const {
  RD_TRY(auto matched, common_audiences(audiences, api_audiences_));
  return Authentication{std::move(user), std::move(matched), ""};
}

Task<Result<Authentication>> OidcAuthenticator::verify_with_new_keys(std::shared_ptr<OidcAuthenticator> self,
                                                                     std::string digest, std::string token,
                                                                     std::vector<std::string> audiences) {
  auto keys = co_await self->fetches_.look_up(kKeys, self->fetch_question());
  if (!keys) co_return unauthorized("oidc: the issuer's keys are not known: " + keys.error().message());
  auto claims = (*keys)->verify(token, self->issuer_.algorithms);
  if (!claims) co_return Error(claims.error());
  auto user = self->accept(digest, *claims);
  if (!user) co_return Error(user.error());
  co_return self->answer(std::move(*user), audiences);
}

Pending<Result<Authentication>> OidcAuthenticator::authenticate(std::string_view token,
                                                                const std::vector<std::string>& audiences) {
  std::string digest = token_digest(token);
  bool old = false;
  {
    std::lock_guard lock(mutex_);
    auto it = known_.find(digest);
    if (it != known_.end() && it->second.until > Clock::now()) return answer(it->second.user, audiences);
    old = fetched_ != Clock::time_point{} && Clock::now() - fetched_ > kMaxKeyAge;
  }
  KeysPtr keys = keys_.load();
  if (!keys) {
    if (!may_fetch(false)) return unauthorized("oidc: authenticator not initialized");
    return verify_with_new_keys(shared_from_this(), std::move(digest), std::string(token), audiences);
  }
  if (old && may_fetch(false)) refresh();
  auto claims = keys->verify(token, issuer_.algorithms);
  if (!claims) {
    // Perhaps the issuer has a new key.
    if (may_fetch(true))
      return verify_with_new_keys(shared_from_this(), std::move(digest), std::string(token), audiences);
    return Error(claims.error());
  }
  auto user = accept(digest, *claims);
  if (!user) return Error(user.error());
  return answer(std::move(*user), audiences);
}

}  // namespace redoubt::apiserver
