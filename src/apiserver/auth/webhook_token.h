// Tokens that somebody else knows: a TokenReview posted to a webhook (--authentication-token-webhook-config-file).
// Answers are remembered for a while, good and bad; who asks about a token that is being asked about waits for the same
// answer. Any thread; the questions run on one loop.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/auth/authentication.h"
#include "apiserver/auth/https_caller.h"
#include "apiserver/auth/joined_lookups.h"
#include "base/pending.h"

namespace redoubt::apiserver {

struct WebhookTokenOptions {
  HttpsCaller::Options connection;
  std::string version = "v1beta1";  // of authentication.k8s.io: v1 or v1beta1
  std::chrono::milliseconds cache_ttl{120'000};
  std::chrono::milliseconds timeout{10'000};  // of one question, retries included
};

class WebhookTokens {
 public:
  static Result<std::unique_ptr<WebhookTokens>> make(Executor loop, WebhookTokenOptions options,
                                                     std::vector<std::string> api_audiences);
  // Unauthorized when the webhook does not know the token, or can't be asked.
  Pending<Result<Authentication>> authenticate(std::string_view token, const std::vector<std::string>& audiences);
  // On the loop.
  Task<void> stop();

 private:
  // What the webhook said; the reason when it did not know the token.
  using Answer = Result<Authentication>;
  WebhookTokens(Executor loop, WebhookTokenOptions options, std::vector<std::string> api_audiences,
                std::unique_ptr<HttpsCaller> caller);
  Task<Result<Answer>> ask(std::string token, std::vector<std::string> audiences);
  Task<Result<Authentication>> wait(std::string key, std::string token, std::vector<std::string> audiences);

  WebhookTokenOptions options_;
  std::vector<std::string> api_audiences_;
  std::unique_ptr<HttpsCaller> caller_;
  JoinedLookups<Answer> lookups_;
};

}  // namespace redoubt::apiserver
