#include "pki/jwks.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <simdjson.h>

#include <algorithm>

#include "base/encoding.h"
#include "pki/jose.h"

namespace redoubt::pki {

namespace {

// Issuers publish a handful; each costs a signature check when a token names none.
constexpr size_t kMaxKeys = 100;
constexpr int kMinRsaBits = 2048, kMaxRsaBits = 16384;

struct Key {
  std::string id, algorithm;  // empty: any
  Ptr<EVP_PKEY> key;
};

std::string text_of_member(const simdjson::dom::object& object, std::string_view name) {
  std::string_view text;
  return object.at_key(name).get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

struct Parameters {
  OSSL_PARAM_BLD* builder = OSSL_PARAM_BLD_new();
  OSSL_PARAM* made = nullptr;
  std::vector<BIGNUM*> numbers;
  ~Parameters() {
    for (BIGNUM* n : numbers) BN_free(n);
    OSSL_PARAM_free(made);
    OSSL_PARAM_BLD_free(builder);
  }
};

Ptr<EVP_PKEY> make_key(const char* type, Parameters& parameters) {
  parameters.made = OSSL_PARAM_BLD_to_param(parameters.builder);
  Ptr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (parameters.made == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.made) != 1)
    key = nullptr;
  ERR_clear_error();
  return Ptr<EVP_PKEY>(key);
}

Ptr<EVP_PKEY> rsa_key(const std::string& n, const std::string& e) {
  if (n.empty() || e.empty() || n.size() * 8 > kMaxRsaBits || e.size() > 8) return nullptr;
  Parameters parameters;
  auto number = [&](const char* name, const std::string& bytes) {
    BIGNUM* value =
        BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr);
    parameters.numbers.push_back(value);
    OSSL_PARAM_BLD_push_BN(parameters.builder, name, value);
  };
  number(OSSL_PKEY_PARAM_RSA_N, n);
  number(OSSL_PKEY_PARAM_RSA_E, e);
  Ptr<EVP_PKEY> key = make_key("RSA", parameters);
  if (key && EVP_PKEY_get_bits(key.get()) < kMinRsaBits) return nullptr;
  return key;
}

Ptr<EVP_PKEY> ec_key(const std::string& curve, const std::string& x, const std::string& y) {
  size_t size = curve == "P-256" ? 32 : curve == "P-384" ? 48 : curve == "P-521" ? 66 : 0;
  if (size == 0 || x.size() != size || y.size() != size) return nullptr;
  Parameters parameters;
  std::string point = "\x04" + x + y;
  OSSL_PARAM_BLD_push_utf8_string(parameters.builder, OSSL_PKEY_PARAM_GROUP_NAME, curve.c_str(), 0);
  OSSL_PARAM_BLD_push_octet_string(parameters.builder, OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  return make_key("EC", parameters);
}

class KeySetImpl : public KeySet {
 public:
  explicit KeySetImpl(std::vector<Key> keys) : keys_(std::move(keys)) {}
  Result<std::string> verify(std::string_view token, const std::vector<std::string>& algorithms) const override {
    RD_TRY(TokenParts parts, split_token(token));
    if (std::find(algorithms.begin(), algorithms.end(), parts.algorithm) == algorithms.end())
      return unauthorized("the token is signed by an algorithm that is not allowed");
    for (const Key& key : keys_) {
      if (!parts.key_id.empty() && key.id != parts.key_id) continue;
      if (!key.algorithm.empty() && key.algorithm != parts.algorithm) continue;
      if (signature_is_right(key.key.get(), parts.algorithm, parts.signed_text, parts.signature))
        return std::move(parts.claims);
    }
    return unauthorized("failed to verify signature: no key of the issuer made it");
  }
  size_t size() const override { return keys_.size(); }

 private:
  std::vector<Key> keys_;
};

}  // namespace

Result<std::shared_ptr<const KeySet>> KeySet::from_jwks(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::dom::array list;
  std::string padded(json);
  if (parser.parse(padded)["keys"].get(list) != simdjson::SUCCESS)
    return bad_request("not a JWKS document: an object with a list \"keys\" is wanted");
  if (list.size() > kMaxKeys) return bad_request(fmt::format("the JWKS document holds over {} keys", kMaxKeys));
  std::vector<Key> keys;
  for (simdjson::dom::element item : list) {
    simdjson::dom::object object;
    if (item.get(object) != simdjson::SUCCESS) continue;
    auto bytes = [&](const char* name) { return base64url_decode(text_of_member(object, name)).value_or(""); };
    std::string use = text_of_member(object, "use"), type = text_of_member(object, "kty");
    if (!use.empty() && use != "sig") continue;
    Key key{text_of_member(object, "kid"), text_of_member(object, "alg"), nullptr};
    if (type == "RSA") key.key = rsa_key(bytes("n"), bytes("e"));
    if (type == "EC") key.key = ec_key(text_of_member(object, "crv"), bytes("x"), bytes("y"));
    if (key.key) keys.push_back(std::move(key));
  }
  return std::make_shared<const KeySetImpl>(std::move(keys));
}

Result<std::string> unverified_claims(std::string_view token) {
  RD_TRY(TokenParts parts, split_token(token));
  return std::move(parts.claims);
}

}  // namespace redoubt::pki
