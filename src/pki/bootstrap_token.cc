#include "pki/bootstrap_token.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/random.h"

namespace redoubt::pki {

namespace {

constexpr size_t kIdLength = 6, kSecretLength = 16;
constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789";

bool made_of(std::string_view text, size_t length) {
  return text.size() == length && text.find_first_not_of(kAlphabet) == std::string_view::npos;
}

std::string random_text(size_t length) {
  std::string out;
  for (size_t i = 0; i < length; ++i) out += kAlphabet[random_below(kAlphabet.size())];
  return out;
}

std::string hmac(std::string_view key, std::string_view text) {
  unsigned char digest[32];
  unsigned size = sizeof digest;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), digest, &size);
  return {reinterpret_cast<char*>(digest), size};
}

}  // namespace

bool is_bootstrap_token_id(std::string_view text) {
  return made_of(text, kIdLength);
}

std::optional<BootstrapToken> parse_bootstrap_token(std::string_view text) {
  size_t dot = text.find('.');
  if (dot == std::string_view::npos || !made_of(text.substr(0, dot), kIdLength) ||
      !made_of(text.substr(dot + 1), kSecretLength))
    return std::nullopt;
  return BootstrapToken{std::string(text.substr(0, dot)), std::string(text.substr(dot + 1))};
}

BootstrapToken generate_bootstrap_token() {
  return {random_text(kIdLength), random_text(kSecretLength)};
}

std::string sign_detached(std::string_view content, const BootstrapToken& token) {
  std::string header = base64url_encode(fmt::format(R"({{"alg":"HS256","kid":"{}"}})", token.id));
  return header + ".." + base64url_encode(hmac(token.secret, header + "." + base64url_encode(content)));
}

bool verify_detached(std::string_view content, std::string_view signature, const BootstrapToken& token) {
  // The header is not interpreted: what is right is what this token's own signature over it says, with this algorithm.
  size_t dots = signature.find("..");
  if (dots == std::string_view::npos) return false;
  std::string header(signature.substr(0, dots));
  auto text = base64url_decode(header);
  auto given = base64url_decode(signature.substr(dots + 2));
  if (!text || text->find("\"HS256\"") == std::string::npos || !given) return false;
  std::string right = hmac(token.secret, header + "." + base64url_encode(content));
  return given->size() == right.size() && CRYPTO_memcmp(given->data(), right.data(), right.size()) == 0;
}

}  // namespace redoubt::pki
