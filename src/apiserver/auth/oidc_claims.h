// From the verified claims of an issuer's token to a user. Pure functions; any thread.
#pragma once
#include "apiserver/auth/authentication_config.h"
#include "apiserver/auth/user.h"
#include "base/status.h"
#include "base/time.h"
#include "schema/value.h"

namespace redoubt::apiserver {

// Issuer, audience and times are right at `present`. Unauthorized says which is not.
Result<void> check_claims(const JwtIssuer& issuer, const schema::Value& claims, Timestamp present);
// When the token ends.
Timestamp expiry_of(const schema::Value& claims);
// Name, groups and uid as the issuer's mappings say. Unauthorized when a claim is missing, of another kind, or not the
// required one.
Result<UserInfo> user_of_claims(const JwtIssuer& issuer, const schema::Value& claims);

}  // namespace redoubt::apiserver
