// Answers that are computed and not stored: access reviews, token reviews, and a ServiceAccount's tokens.
#pragma once
#include "apiserver/auth/authenticator.h"
#include "apiserver/context.h"
#include "apiserver/rest.h"

namespace redoubt::apiserver {

class Reviews {
 public:
  Reviews(Rest& rest, const Authenticator& authenticator, const Authorizer& authorizer)
      : rest_(rest), authenticator_(authenticator), authorizer_(authorizer) {}
  // A create on one of the review resources.
  Task<void> create(Context& context);
  // serviceaccounts/NAME/token
  Task<void> token(Context& context);

 private:
  Task<Result<void>> access(Context& context, Value& review, bool self);
  void rules(Context& context, Value& review);
  Task<Result<void>> token_review(Context& context, Value& review);
  Rest& rest_;
  const Authenticator& authenticator_;
  const Authorizer& authorizer_;
};

}  // namespace redoubt::apiserver
