// The public keys of an issuer of tokens, as its JWKS document lists them (RFC 7517). Immutable; any thread.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace redoubt::pki {

class KeySet {
 public:
  // Keys that can't verify tokens (symmetric ones, RSA below 2048 bits, other curves, "use" other than "sig") are left
  // out; BadRequest when the text is no JWKS document or holds too many keys.
  static Result<std::shared_ptr<const KeySet>> from_jwks(std::string_view json);
  virtual ~KeySet() = default;
  // The claims' JSON once the signature is right by one of `algorithms`. Unauthorized otherwise; times, issuer and
  // audience are the caller's to check.
  virtual Result<std::string> verify(std::string_view token, const std::vector<std::string>& algorithms) const = 0;
  virtual size_t size() const = 0;
};

// What a token claims, not verified: to find out whose keys it must be verified with, and for nothing else.
Result<std::string> unverified_claims(std::string_view token);

}  // namespace redoubt::pki
