// What an admission webhook answered: checked against what was asked, and what a refusal or a patch makes of a request.
// Pure functions, for any thread; every byte of an answer is the webhook's and trusted in nothing.
#pragma once
#include <string>
#include <string_view>

#include "apiserver/webhook/configuration.h"
#include "base/status.h"
#include "schema/value.h"

namespace redoubt::apiserver {

// The AdmissionReview's `response`, in the arena. An error says, in upstream's words, what is wrong with it: another
// version, another request's uid, a patch without its type, a patch of a validating webhook.
Result<schema::Value> read_answer(std::string_view text, std::string_view uid, bool mutating, schema::Arena& arena);

// What `allowed: false` becomes for the client: the webhook's own code, reason and message, but never a success.
Status denial(std::string_view webhook, const schema::Value& status);

// The object with a response's JSONPatch applied; the object itself where there is none. InternalError as upstream's
// when the patch can't be read or applied: that is no failure to call the webhook, so no failurePolicy excuses it.
Result<schema::Value> patched_by(const schema::Value& response, const schema::Value& object, schema::Arena& arena);

}  // namespace redoubt::apiserver
