#include "apiserver/auth/authentication.h"

#include <openssl/sha.h>

#include <algorithm>

namespace redoubt::apiserver {

Result<std::vector<std::string>> common_audiences(const std::vector<std::string>& wanted,
                                                  const std::vector<std::string>& have) {
  std::vector<std::string> out;
  for (const std::string& audience : wanted) {
    if (std::find(have.begin(), have.end(), audience) != have.end()) out.push_back(audience);
  }
  if (out.empty()) return unauthorized("the token is for another audience");
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string token_digest(std::string_view token) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

}  // namespace redoubt::apiserver
