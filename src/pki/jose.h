// Signatures of JSON Web Tokens (RFC 7515, 7518): what jwt and jwks share. For pki/'s own use.
#pragma once
#include <string>
#include <string_view>

#include "base/status.h"
#include "pki/openssl_ptr.h"

namespace redoubt::pki {

// The longest token that is looked at; upstream's servers take headers of 16 KB too.
inline constexpr size_t kMaxTokenBytes = 16 * 1024;

struct TokenParts {
  std::string algorithm, key_id;  // of the header; what it says is not to be believed
  std::string claims;             // decoded, not verified
  std::string_view signed_text;   // points into the token
  std::string signature;
};
// Takes a compact serialization apart. Unauthorized for what is none, is too long, or asks for extensions that must be
// understood ("crit": none is).
Result<TokenParts> split_token(std::string_view token);

// True when `signature` over `text` by `algorithm` (RS, PS, ES with 256, 384, 512) is right. False for every other
// algorithm and for one that is not of the key's kind and curve, so that no header can turn a key into another's.
bool signature_is_right(EVP_PKEY* key, std::string_view algorithm, std::string_view text, std::string_view signature);

}  // namespace redoubt::pki
