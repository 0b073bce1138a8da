#include "apiserver/auth/webhook_token.h"

#include "apiserver/auth/webhook_client.h"
#include "base/json_text.h"
#include "base/log.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

namespace {

using schema::Value;

std::vector<std::string> strings(const Value& list) {
  std::vector<std::string> out;
  for (const Value& item : schema::items(list)) out.emplace_back(item.as_string());
  return out;
}

std::string review_of(std::string_view version, std::string_view token, const std::vector<std::string>& audiences) {
  std::string out = fmt::format(
      R"({{"kind":"TokenReview","apiVersion":"authentication.k8s.io/{}","metadata":{{"creationTimestamp":null}},"spec":{{"token":)",
      version);
  append_json_string(out, token);
  if (!audiences.empty()) {
    out += ",\"audiences\":[";
    for (size_t i = 0; i < audiences.size(); ++i) {
      if (i > 0) out += ',';
      append_json_string(out, audiences[i]);
    }
    out += ']';
  }
  return out + R"(},"status":{"user":{}}})";
}

}  // namespace

Result<std::unique_ptr<WebhookTokens>> WebhookTokens::make(Executor loop, WebhookTokenOptions options,
                                                           std::vector<std::string> api_audiences) {
  options.connection.timeout = options.timeout;
  RD_TRY(auto caller, HttpsCaller::make(loop, options.connection));
  return std::unique_ptr<WebhookTokens>(
      new WebhookTokens(loop, std::move(options), std::move(api_audiences), std::move(caller)));
}

WebhookTokens::WebhookTokens(Executor loop, WebhookTokenOptions options, std::vector<std::string> api_audiences,
                             std::unique_ptr<HttpsCaller> caller)
    : options_(std::move(options)),
      api_audiences_(std::move(api_audiences)),
      caller_(std::move(caller)),
      lookups_(loop, [ttl = options_.cache_ttl](const Answer&) { return ttl; }) {}

Task<Result<WebhookTokens::Answer>> WebhookTokens::ask(std::string token, std::vector<std::string> audiences) {
  auto body = co_await ask_webhook(*caller_, review_of(options_.version, token, audiences), options_.timeout);
  if (!body) {
    log_warning("the token webhook could not be asked", {{"error", body.error().message()}});
    co_return Error(body.error());
  }
  schema::Arena arena;
  auto parsed = schema::parse_json(*body, arena);
  if (!parsed || parsed->get({"kind"}).as_string() != "TokenReview") {
    log_warning("the token webhook answered something that is no TokenReview");
    co_return service_unavailable("the token webhook's answer is no TokenReview");
  }
  Value status = parsed->get({"status"});
  if (!status.get({"authenticated"}).as_bool()) {
    std::string_view error = status.get({"error"}).as_string();
    co_return Answer(unauthorized(error.empty() ? "the token webhook does not know the token" : std::string(error)));
  }
  Authentication out;
  out.user.name = status.get({"user", "username"}).as_string();
  out.user.uid = status.get({"user", "uid"}).as_string();
  out.user.groups = strings(status.get({"user", "groups"}));
  for (const schema::Member& extra : schema::members(status.get({"user", "extra"})))
    out.user.extra[std::string(extra.key)] = strings(extra.value);
  if (out.user.name.empty()) co_return Answer(unauthorized("the token webhook named no user"));
  // One that says nothing of audiences knows none: the token is then for the API server.
  auto said = strings(status.get({"audiences"}));
  auto matched = common_audiences(audiences, said.empty() ? api_audiences_ : said);
  if (!matched) co_return Answer(Error(matched.error()));
  out.audiences = std::move(*matched);
  co_return Answer(std::move(out));
}

Task<Result<Authentication>> WebhookTokens::wait(std::string key, std::string token,
                                                 std::vector<std::string> audiences) {
  auto answer = co_await lookups_.look_up(
      std::move(key), [this, token = std::move(token), audiences] { return ask(token, audiences); });
  if (!answer) co_return unauthorized(answer.error().message());
  co_return std::move(*answer);
}

Pending<Result<Authentication>> WebhookTokens::authenticate(std::string_view token,
                                                            const std::vector<std::string>& audiences) {
  std::string key = token_digest(token);
  for (const std::string& audience : audiences) key += audience + '\0';
  if (auto known = lookups_.remembered(key)) return std::move(*known);
  return wait(std::move(key), std::string(token), audiences);
}

Task<void> WebhookTokens::stop() {
  co_await lookups_.stop();
  caller_.reset();
}

}  // namespace redoubt::apiserver
