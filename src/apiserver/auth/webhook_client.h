// Reviews asked of a webhook (TokenReview, SubjectAccessReview): posted as JSON, tried again while it makes sense.
#pragma once
#include <memory>
#include <string>

#include "apiserver/auth/https_caller.h"

namespace redoubt::apiserver {

// Posts `review` and gives the answer's body. What may be gone in a moment (no connection, 429, 5xx) is tried five
// times in all, with growing pauses, as upstream does; `within` bounds all of it. On the caller's loop.
Task<Result<std::string>> ask_webhook(HttpsCaller& caller, std::string review, std::chrono::milliseconds within);

}  // namespace redoubt::apiserver
