#include "apiserver/auth/authenticator.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "apiserver/auth/bearer_token.h"
#include "apiserver/auth/limits.h"
#include "base/blocking.h"
#include "base/log.h"
#include "base/metrics.h"
#include "pki/certificate.h"
#include "pki/jwks.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

namespace {

// Everybody who is somebody is in system:authenticated, unless the credential said otherwise.
Authentication completed(Authentication a) {
  if (!a.user.is_anonymous() && !a.user.in_group(kAuthenticated) && !a.user.in_group(kUnauthenticated))
    a.user.groups.emplace_back(kAuthenticated);
  return a;
}
Result<Authentication> completed(Result<Authentication> result) {
  if (!result) return result;
  return completed(std::move(*result));
}

}  // namespace

Authenticator::Authenticator(AuthenticatorOptions options, std::optional<Executor> loop)
    : options_(std::move(options)),
      loop_(std::move(loop)),
      front_proxy_(options_.front_proxy),
      certificates_(options_.client_ca),
      static_tokens_(options_.static_tokens, options_.api_audiences),
      service_accounts_(options_.service_accounts, options_.api_audiences, *options_.store),
      bootstrap_tokens_(*options_.store, options_.api_audiences),
      anonymous_(std::make_shared<const AnonymousPolicy>(options_.anonymous)) {}

Authenticator::~Authenticator() = default;

std::shared_ptr<const Authenticator::Issuers> Authenticator::make_issuers(const std::vector<JwtIssuer>& issuers) const {
  auto out = std::make_shared<Issuers>();
  for (const JwtIssuer& issuer : issuers)
    out->push_back(OidcAuthenticator::make(*loop_, issuer, options_.api_audiences, options_.dial));
  return out;
}

Result<std::unique_ptr<Authenticator>> Authenticator::make(AuthenticatorOptions options, std::optional<Executor> loop) {
  bool asks = !options.jwt_issuers.empty() || options.webhook || !options.config_file.empty();
  if (asks && !loop) return internal_error("issuers and webhooks need a loop to be asked from");
  std::unique_ptr<Authenticator> out(new Authenticator(std::move(options), std::move(loop)));
  Authenticator& a = *out;
  if (a.options_.webhook) {
    WebhookTokenOptions webhook = *a.options_.webhook;
    if (!webhook.connection.dial) webhook.connection.dial = a.options_.dial;
    RD_TRY(a.webhook_, WebhookTokens::make(*a.loop_, std::move(webhook), a.options_.api_audiences));
  }
  a.issuers_ = a.loop_ ? a.make_issuers(a.options_.jwt_issuers) : std::make_shared<const Issuers>();
  if (!a.options_.config_file.empty()) {
    a.scope_ = std::make_unique<Scope>(*a.loop_, "authentication");
    boost::asio::post(*a.loop_, [&a] { a.scope_->spawn(a.watch_config()); });
  }
  return out;
}

Task<void> Authenticator::stop() {
  if (scope_) co_await scope_->join();
  for (const auto& issuer : *issuers_.load()) co_await issuer->stop();
  if (webhook_) co_await webhook_->stop();
}

// Looks at the file now and then. A file that is wrong changes nothing, and is said so once.
Task<void> Authenticator::watch_config() {
  std::string before;
  bool first = true;
  for (;; co_await sleep_for(kReloadInterval)) {
    auto text = co_await run_blocking([path = options_.config_file] { return pki::read_file(path); });
    std::string present = text ? *text : std::string();
    if (std::exchange(first, false) || present == before) {
      before = std::move(present);
      continue;
    }
    before = present;
    auto count = [](const char* status) {
      counter("apiserver_authentication_config_controller_automatic_reloads_total",
              "Takings over of a changed authentication configuration, by outcome.", {{"status", status}})
          .add();
    };
    Result<AuthenticationConfig> config =
        text ? parse_authentication_config(present, service_accounts_.options().issuers)
             : Result<AuthenticationConfig>(Error(text.error()));
    if (!config) {
      count("failure");
      log_error("the changed authentication configuration is wrong and was not taken over",
                {{"file", options_.config_file}, {"error", config.error().message()}});
      continue;
    }
    auto replaced = issuers_.exchange(make_issuers(config->jwt));
    anonymous_ = std::make_shared<const AnonymousPolicy>(config->anonymous.value_or(options_.anonymous));
    for (const auto& issuer : *replaced) co_await issuer->stop();
    count("success");
    log_info("the changed authentication configuration was taken over",
             {{"file", options_.config_file}, {"issuers", config->jwt.size()}});
  }
}

// Tokens that are known here: nobody has to be asked.
Attempt Authenticator::by_local_token(std::string_view token, const std::vector<std::string>& audiences) const {
  if (Attempt attempt = static_tokens_.authenticate(token, audiences)) return attempt;
  if (Attempt attempt = service_accounts_.authenticate(token, audiences)) return attempt;
  if (options_.bootstrap_tokens) return bootstrap_tokens_.authenticate(token, audiences);
  return {};
}

Task<Result<Authentication>> Authenticator::finish(Task<Result<Authentication>> task) {
  co_return completed(co_await std::move(task));
}

Pending<Result<Authentication>> Authenticator::authenticate_token(std::string token,
                                                                  std::vector<std::string> audiences) const {
  if (audiences.empty()) audiences = options_.api_audiences;
  if (Attempt attempt = by_local_token(token, audiences)) return completed(std::move(*attempt));
  auto issuers = issuers_.load();
  if (!issuers->empty()) {
    if (auto claims = pki::unverified_claims(token)) {
      schema::Arena arena;
      auto parsed = schema::parse_json(*claims, arena);
      std::string_view url = parsed ? parsed->get({"iss"}).as_string() : std::string_view();
      for (const auto& issuer : *issuers) {
        if (issuer->url() != url) continue;
        auto answer = issuer->authenticate(token, audiences);
        if (answer.is_here()) return completed(std::move(answer.value()));
        return finish(answer.task());
      }
    }
  }
  if (webhook_) {
    auto answer = webhook_->authenticate(token, audiences);
    if (answer.is_here()) return completed(std::move(answer.value()));
    return finish(answer.task());
  }
  return unauthorized("the token is of no kind that is known here");
}

Pending<Result<Authentication>> Authenticator::authenticate(const net::Request& request) const {
  std::optional<Status> wrong;  // a credential that was there, and no good
  if (request.connection && !request.connection->peer_certificates.empty()) {
    if (Attempt attempt = front_proxy_.authenticate(request)) {
      if (*attempt) return completed(std::move(*attempt));
      wrong = attempt->error();
    }
    if (options_.client_ca) {
      if (Attempt attempt = certificates_.authenticate(*request.connection)) {
        if (*attempt) return completed(std::move(*attempt));
        if (!wrong) wrong = attempt->error();
      }
    } else if (!wrong) {
      wrong = unauthorized("no authority for client certificates is configured").error();
    }
  }
  if (std::string token = bearer_token(request.headers); !token.empty())
    return authenticate_token(std::move(token), {});
  if (wrong) return Error(std::move(*wrong));
  if (request.headers.has("authorization")) return unauthorized("an Authorization header that is no bearer token");
  auto anonymous = anonymous_.load();
  const auto& paths = anonymous->paths;
  if (anonymous->enabled &&
      (anonymous->every_path || std::find(paths.begin(), paths.end(), request.path) != paths.end()))
    return Authentication{{std::string(kAnonymous), "", {std::string(kUnauthenticated)}, {}}, {}, ""};
  return unauthorized("no credential");
}

void Authenticator::clear_credentials(net::Headers& headers) const {
  remove_bearer_token(headers);
  front_proxy_.clear(headers);
}

}  // namespace redoubt::apiserver
