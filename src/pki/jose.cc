#include "pki/jose.h"

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <simdjson.h>

#include "base/encoding.h"

namespace redoubt::pki {

namespace {

const EVP_MD* digest_of(std::string_view algorithm) {
  std::string_view bits = algorithm.substr(2);
  return bits == "256" ? EVP_sha256() : bits == "384" ? EVP_sha384() : bits == "512" ? EVP_sha512() : nullptr;
}

// JOSE writes r and s next to each other; OpenSSL wants a DER sequence.
std::string jose_to_der(std::string_view jose) {
  int half = static_cast<int>(jose.size() / 2);
  ECDSA_SIG* signature = ECDSA_SIG_new();
  const auto* raw = reinterpret_cast<const unsigned char*>(jose.data());
  ECDSA_SIG_set0(signature, BN_bin2bn(raw, half, nullptr), BN_bin2bn(raw + half, half, nullptr));
  unsigned char* der = nullptr;
  int size = i2d_ECDSA_SIG(signature, &der);
  std::string out(reinterpret_cast<char*>(der), static_cast<size_t>(std::max(size, 0)));
  OPENSSL_free(der);
  ECDSA_SIG_free(signature);
  return out;
}

}  // namespace

Result<TokenParts> split_token(std::string_view token) {
  if (token.size() > kMaxTokenBytes) return unauthorized("the token is too long");
  size_t first = token.find('.'), last = token.rfind('.');
  if (first == std::string_view::npos || first == last || token.find('.', first + 1) != last)
    return unauthorized("not a JSON Web Token");
  auto header = base64url_decode(token.substr(0, first));
  auto claims = base64url_decode(token.substr(first + 1, last - first - 1));
  auto signature = base64url_decode(token.substr(last + 1));
  if (!header || !claims || !signature) return unauthorized("not a JSON Web Token");
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  std::string_view text;
  if (parser.parse(*header).get(object) != simdjson::SUCCESS) return unauthorized("not a JSON Web Token");
  if (object.at_key("crit").error() == simdjson::SUCCESS)
    return unauthorized("the token asks for extensions that are not known");
  TokenParts out;
  if (object.at_key("alg").get(text) == simdjson::SUCCESS) out.algorithm = text;
  if (object.at_key("kid").get(text) == simdjson::SUCCESS) out.key_id = text;
  out.claims = std::move(*claims);
  out.signed_text = token.substr(0, last);
  out.signature = std::move(*signature);
  return out;
}

bool signature_is_right(EVP_PKEY* key, std::string_view algorithm, std::string_view text, std::string_view signature) {
  if (algorithm.size() != 5) return false;
  const EVP_MD* digest = digest_of(algorithm);
  std::string_view family = algorithm.substr(0, 2);
  if (digest == nullptr) return false;
  int kind = EVP_PKEY_get_base_id(key), bits = EVP_PKEY_get_bits(key);
  std::string der;
  if (family == "ES") {
    // Each ES algorithm has a curve of its own (RFC 7518, 3.4).
    int wanted = EVP_MD_get_size(digest) == 32 ? 256 : EVP_MD_get_size(digest) == 48 ? 384 : 521;
    if (kind != EVP_PKEY_EC || bits != wanted || signature.size() != 2 * static_cast<size_t>((wanted + 7) / 8))
      return false;
    der = jose_to_der(signature);
    signature = der;
  } else if ((family != "RS" && family != "PS") || kind != EVP_PKEY_RSA) {
    return false;
  }
  Ptr<EVP_MD_CTX> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;
  bool ready = EVP_DigestVerifyInit(context.get(), &parameters, digest, nullptr, key) == 1;
  if (ready && family == "PS")
    ready = EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1;
  int ok = ready ? EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                                    signature.size(), reinterpret_cast<const unsigned char*>(text.data()), text.size())
                 : 0;
  ERR_clear_error();
  return ok == 1;
}

}  // namespace redoubt::pki
