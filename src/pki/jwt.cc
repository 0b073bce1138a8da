#include "pki/jwt.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/encoding.h"
#include "base/json_text.h"
#include "pki/jose.h"

namespace redoubt::pki {

namespace {

constexpr size_t kCoordinateBytes = 32;  // P-256

std::string key_id(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  int size = i2d_PUBKEY(key, &der);
  unsigned char digest[32];
  EVP_Digest(der, static_cast<size_t>(size), digest, nullptr, EVP_sha256(), nullptr);
  OPENSSL_free(der);
  return base64url_encode({reinterpret_cast<char*>(digest), sizeof digest});
}

bool is_ec(EVP_PKEY* key) {
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC;
}
const char* algorithm(EVP_PKEY* key) {
  return is_ec(key) ? "ES256" : "RS256";
}

// JOSE writes r and s next to each other; OpenSSL writes a DER sequence.
std::string der_to_jose(const std::string& der) {
  const auto* data = reinterpret_cast<const unsigned char*>(der.data());
  ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &data, static_cast<long>(der.size()));
  std::string out(2 * kCoordinateBytes, '\0');
  BN_bn2binpad(ECDSA_SIG_get0_r(signature), reinterpret_cast<unsigned char*>(out.data()), kCoordinateBytes);
  BN_bn2binpad(ECDSA_SIG_get0_s(signature), reinterpret_cast<unsigned char*>(out.data()) + kCoordinateBytes,
               kCoordinateBytes);
  ECDSA_SIG_free(signature);
  return out;
}

class SignerImpl : public TokenSigner {
 public:
  explicit SignerImpl(Ptr<EVP_PKEY> key) : key_(std::move(key)) {
    header_ = base64url_encode(fmt::format(R"({{"alg":"{}","kid":"{}"}})", algorithm(key_.get()), key_id(key_.get())));
  }

  std::string sign(std::string_view claims) const override {
    std::string text = header_ + "." + base64url_encode(claims);
    Ptr<EVP_MD_CTX> context(EVP_MD_CTX_new());
    EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get());
    size_t size = 0;
    const auto* data = reinterpret_cast<const unsigned char*>(text.data());
    EVP_DigestSign(context.get(), nullptr, &size, data, text.size());
    std::string signature(size, '\0');
    EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, data, text.size());
    signature.resize(size);
    return text + "." + base64url_encode(is_ec(key_.get()) ? der_to_jose(signature) : signature);
  }

 private:
  Ptr<EVP_PKEY> key_;
  std::string header_;
};

class VerifierImpl : public TokenVerifier {
 public:
  explicit VerifierImpl(std::vector<Ptr<EVP_PKEY>> keys) : keys_(std::move(keys)) {}

  Result<std::string> verify(std::string_view token) const override {
    RD_TRY(TokenParts parts, split_token(token));
    for (const Ptr<EVP_PKEY>& key : keys_) {
      // The algorithm follows from the key that is tried; what the header asks for must agree with it.
      if (parts.algorithm == algorithm(key.get()) &&
          signature_is_right(key.get(), parts.algorithm, parts.signed_text, parts.signature))
        return std::move(parts.claims);
    }
    return unauthorized("the token's signature is wrong");
  }

  std::string jwks() const override {
    std::string out = "{\"keys\":[";
    for (const Ptr<EVP_PKEY>& key : keys_) {
      if (out.back() == '}') out += ',';
      auto number = [&](const char* name) {
        BIGNUM* value = nullptr;
        EVP_PKEY_get_bn_param(key.get(), name, &value);
        std::string bytes(is_ec(key.get()) ? kCoordinateBytes : static_cast<size_t>(BN_num_bytes(value)), '\0');
        BN_bn2binpad(value, reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
        BN_free(value);
        return base64url_encode(bytes);
      };
      out += fmt::format(R"({{"use":"sig","kid":"{}","alg":"{}",)", key_id(key.get()), algorithm(key.get()));
      if (is_ec(key.get())) {
        out += fmt::format(R"("kty":"EC","crv":"P-256","x":"{}","y":"{}"}})", number(OSSL_PKEY_PARAM_EC_PUB_X),
                           number(OSSL_PKEY_PARAM_EC_PUB_Y));
      } else {
        out += fmt::format(R"("kty":"RSA","n":"{}","e":"{}"}})", number(OSSL_PKEY_PARAM_RSA_N),
                           number(OSSL_PKEY_PARAM_RSA_E));
      }
    }
    return out + "]}";
  }

 private:
  std::vector<Ptr<EVP_PKEY>> keys_;
};

bool supported(EVP_PKEY* key) {
  return (is_ec(key) && EVP_PKEY_get_bits(key) == 256) ||
         (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) >= 2048);
}

}  // namespace

Result<std::shared_ptr<const TokenSigner>> TokenSigner::from_pem(std::string_view private_key_pem) {
  Ptr<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio_over(private_key_pem).get(), nullptr, nullptr, no_passphrase()));
  ERR_clear_error();
  if (!key || !supported(key.get()))
    return bad_request("the token signing key must be a P-256 or an RSA (2048 bits and up) private key in PEM");
  return std::make_shared<const SignerImpl>(std::move(key));
}

Result<std::shared_ptr<const TokenVerifier>> TokenVerifier::from_pem(const std::vector<std::string>& keys_pem) {
  std::vector<Ptr<EVP_PKEY>> keys;
  for (const std::string& pem : keys_pem) {
    Ptr<EVP_PKEY> key(PEM_read_bio_PUBKEY(bio_over(pem).get(), nullptr, nullptr, nullptr));
    if (!key) key.reset(PEM_read_bio_PrivateKey(bio_over(pem).get(), nullptr, nullptr, no_passphrase()));
    if (!key) {
      if (Ptr<X509> certificate{PEM_read_bio_X509(bio_over(pem).get(), nullptr, nullptr, nullptr)})
        key.reset(X509_get_pubkey(certificate.get()));
    }
    ERR_clear_error();
    if (!key || !supported(key.get()))
      return bad_request("a token key must be a P-256 or an RSA (2048 bits and up) key in PEM");
    keys.push_back(std::move(key));
  }
  if (keys.empty()) return bad_request("no token key was given");
  return std::make_shared<const VerifierImpl>(std::move(keys));
}

bool equal_secrets(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace redoubt::pki
