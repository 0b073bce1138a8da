// Somebody else decides: a SubjectAccessReview posted to a webhook. Decisions are remembered for a while; who asks what
// is being asked waits for the same answer. Any thread; the questions run on one loop.
#pragma once
#include <memory>
#include <string>

#include "apiserver/auth/attributes.h"
#include "apiserver/auth/authorization_config.h"
#include "apiserver/auth/https_caller.h"
#include "apiserver/auth/joined_lookups.h"
#include "apiserver/auth/user.h"
#include "base/pending.h"

namespace redoubt::apiserver {

class WebhookAuthorizer {
 public:
  // Reads the kubeconfig (blocking). BadRequest names the file.
  static Result<std::shared_ptr<WebhookAuthorizer>> make(Executor loop, std::string name,
                                                         const WebhookAuthorizerConfig& config, Dial dial);
  // Any thread: connections end on the loop.
  ~WebhookAuthorizer();
  // When the webhook can't be asked: no opinion, or denied, as its failure policy says; `error` tells why. The webhook
  // outlives the answer.
  Pending<Decision> authorize(const UserInfo& user, const Attributes& attributes);
  // On the loop.
  Task<void> stop();

 private:
  WebhookAuthorizer(Executor loop, std::string name, const WebhookAuthorizerConfig& config,
                    std::unique_ptr<HttpsCaller> caller);
  Task<Result<Decision>> ask(std::string spec);
  Task<Decision> wait(std::string spec);
  const Executor loop_;
  const std::string name_;
  const WebhookAuthorizerConfig config_;
  std::unique_ptr<HttpsCaller> caller_;
  JoinedLookups<Decision> lookups_;
};

// The spec of a SubjectAccessReview, in JSON. `version` is v1 or v1beta1 (which calls the groups "group").
std::string access_review_spec(const UserInfo& user, const Attributes& attributes, std::string_view version);

}  // namespace redoubt::apiserver
