// JSON Web Tokens as Kubernetes uses them (RFC 7519, 7515, 7517): signed with ES256 or RS256, nothing else. Any thread.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace redoubt::pki {

// A signing key pair's private half with its key id (base64url of the public key's SHA-256).
class TokenSigner {
 public:
  static Result<std::shared_ptr<const TokenSigner>> from_pem(std::string_view private_key_pem);
  virtual ~TokenSigner() = default;
  // `claims` is a JSON object.
  virtual std::string sign(std::string_view claims) const = 0;
};

// Public keys that tokens may be signed with; several, so that keys can be rotated.
class TokenVerifier {
 public:
  // Public or private PEM keys, or certificates.
  static Result<std::shared_ptr<const TokenVerifier>> from_pem(const std::vector<std::string>& keys_pem);
  virtual ~TokenVerifier() = default;
  // The claims' JSON once the signature is right. Times, issuer and audience are the caller's to check. Unauthorized
  // otherwise.
  virtual Result<std::string> verify(std::string_view token) const = 0;
  // The keys as a JWKS document.
  virtual std::string jwks() const = 0;
  // Changes when the keys do: a token remembered as right under another generation is to be verified again.
  virtual uint64_t generation() const { return 0; }
};

// Compares in a time that depends on the lengths only.
bool equal_secrets(std::string_view a, std::string_view b);

}  // namespace redoubt::pki
