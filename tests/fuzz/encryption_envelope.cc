// A stored value of any bytes: no crash, and nothing that was not sealed with the key is opened by a cipher that
// authenticates; an envelope that is taken holds its limits and reads back as itself.
#include <cstdlib>
#include <string>
#include <string_view>

#include "apiserver/encryption/ciphers.h"
#include "apiserver/encryption/kms_envelope.h"
#include "apiserver/encryption/limits.h"
#include "apiserver/encryption/provider.h"

using namespace redoubt::apiserver::encryption;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static const std::string key(32, 'k');
  if (aes_gcm_open(key, bytes, "a") || secretbox_open(key, bytes) || derived_gcm_open(key, bytes, "a")) std::abort();
  (void)aes_cbc_open(key, bytes);
  static const auto provider = [] {
    ProviderConfig config;
    config.kind = ProviderKind::AesGcm;
    config.keys.push_back({"a", SecretBytes(key)});
    return make_local_provider(config);
  }();
  std::string stored = "k8s:enc:aesgcm:v1:" + std::string(bytes);
  if (provider->open("a", stored)) std::abort();
  if (auto object = parse_encrypted_object(bytes)) {
    if (object->key_id.size() > kMaxKeyIdBytes || object->encrypted_dek.size() > kMaxEncryptedDekBytes) std::abort();
    auto again = parse_encrypted_object(to_bytes(*object));
    if (!again || again->data != object->data || again->annotations != object->annotations) std::abort();
  }
  (void)parse_kms_status(bytes);
  (void)parse_encrypt_answer(bytes);
  (void)parse_decrypt_answer(bytes);
  return 0;
}
