#include "pki/jwks.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#include "base/encoding.h"
#include "pki/openssl_ptr.h"

using namespace redoubt;
using namespace redoubt::pki;

namespace {

Ptr<EVP_PKEY> rsa(unsigned bits) {
  return Ptr<EVP_PKEY>(EVP_RSA_gen(bits));
}
Ptr<EVP_PKEY> ec(const char* curve) {
  return Ptr<EVP_PKEY>(EVP_EC_gen(curve));
}

std::string number(EVP_PKEY* key, const char* name, int size = 0) {
  BIGNUM* value = nullptr;
  EVP_PKEY_get_bn_param(key, name, &value);
  std::string out(static_cast<size_t>(size > 0 ? size : BN_num_bytes(value)), '\0');
  BN_bn2binpad(value, reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size()));
  BN_free(value);
  return base64url_encode(out);
}

std::string jwk(EVP_PKEY* key, const std::string& id, const std::string& more = "") {
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
    return R"({"kty":"RSA","kid":")" + id + R"(","n":")" + number(key, OSSL_PKEY_PARAM_RSA_N) + R"(","e":")" +
           number(key, OSSL_PKEY_PARAM_RSA_E) + "\"" + more + "}";
  int bits = EVP_PKEY_get_bits(key), size = (bits + 7) / 8;
  return R"({"kty":"EC","kid":")" + id + R"(","crv":"P-)" + std::to_string(bits) + R"(","x":")" +
         number(key, OSSL_PKEY_PARAM_EC_PUB_X, size) + R"(","y":")" + number(key, OSSL_PKEY_PARAM_EC_PUB_Y, size) +
         "\"" + more + "}";
}

std::string token(EVP_PKEY* key, const std::string& algorithm, const std::string& id) {
  std::string text =
      base64url_encode(R"({"alg":")" + algorithm + R"(","kid":")" + id + "\"}") + "." + base64url_encode("{\"a\":1}");
  const EVP_MD* digest = algorithm.ends_with("256")   ? EVP_sha256()
                         : algorithm.ends_with("384") ? EVP_sha384()
                                                      : EVP_sha512();
  Ptr<EVP_MD_CTX> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;
  EVP_DigestSignInit(context.get(), &parameters, digest, nullptr, key);
  if (algorithm.starts_with("PS")) {
    EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST);
  }
  size_t size = 0;
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  EVP_DigestSign(context.get(), nullptr, &size, data, text.size());
  std::string signature(size, '\0');
  EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, data, text.size());
  signature.resize(size);
  if (algorithm.starts_with("ES")) {
    const auto* der = reinterpret_cast<const unsigned char*>(signature.data());
    ECDSA_SIG* parts = d2i_ECDSA_SIG(nullptr, &der, static_cast<long>(size));
    int half = (EVP_PKEY_get_bits(key) + 7) / 8;
    std::string raw(static_cast<size_t>(2 * half), '\0');
    BN_bn2binpad(ECDSA_SIG_get0_r(parts), reinterpret_cast<unsigned char*>(raw.data()), half);
    BN_bn2binpad(ECDSA_SIG_get0_s(parts), reinterpret_cast<unsigned char*>(raw.data()) + half, half);
    ECDSA_SIG_free(parts);
    signature = raw;
  }
  return text + "." + base64url_encode(signature);
}

std::string keys(const std::string& list) {
  return "{\"keys\":[" + list + "]}";
}
const std::vector<std::string> kAll = {"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"};

}  // namespace

TEST(KeySet, VerifiesEveryAlgorithmOfItsKeys) {
  auto big = rsa(2048), p256 = ec("P-256"), p384 = ec("P-384"), p521 = ec("P-521");
  auto set = *KeySet::from_jwks(
      keys(jwk(big.get(), "r") + "," + jwk(p256.get(), "2") + "," + jwk(p384.get(), "3") + "," + jwk(p521.get(), "5")));
  EXPECT_EQ(set->size(), 4u);
  for (const char* algorithm : {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
    EXPECT_EQ(set->verify(token(big.get(), algorithm, "r"), kAll), "{\"a\":1}") << algorithm;
  EXPECT_TRUE(set->verify(token(p256.get(), "ES256", "2"), kAll));
  EXPECT_TRUE(set->verify(token(p384.get(), "ES384", "3"), kAll));
  EXPECT_TRUE(set->verify(token(p521.get(), "ES512", "5"), kAll));
  // Only what is allowed, only with the key that is named, only by the curve's own digest.
  EXPECT_FALSE(set->verify(token(big.get(), "PS256", "r"), {"RS256"}));
  EXPECT_FALSE(set->verify(token(big.get(), "RS256", "2"), kAll));
  EXPECT_FALSE(set->verify(token(p256.get(), "ES384", "2"), kAll));
  EXPECT_TRUE(set->verify(token(p256.get(), "ES256", ""), kAll)) << "no key named: any of them";
}

TEST(KeySet, LeavesOutKeysThatProveNothing) {
  auto small = rsa(1024), good = ec("P-256");
  std::string list = jwk(small.get(), "small") + R"(,{"kty":"oct","kid":"o","k":"c2VjcmV0"},7,{},)" +
                     R"({"kty":"EC","crv":"P-256","x":"AA","y":"AA"},)" + jwk(good.get(), "enc", R"(,"use":"enc")");
  auto set = *KeySet::from_jwks(keys(list));
  EXPECT_EQ(set->size(), 0u);
  EXPECT_FALSE(set->verify(token(small.get(), "RS256", "small"), kAll));
  auto narrow = *KeySet::from_jwks(keys(jwk(good.get(), "g", R"(,"alg":"ES384")")));
  EXPECT_FALSE(narrow->verify(token(good.get(), "ES256", "g"), kAll));
  EXPECT_FALSE(KeySet::from_jwks("[]"));
  EXPECT_FALSE(KeySet::from_jwks("{\"keys\":7}"));
  EXPECT_FALSE(KeySet::from_jwks(""));
}
