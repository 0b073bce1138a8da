#include "apiserver/encryption/ciphers.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

#include <memory>
#include <span>

#include "apiserver/encryption/secret_bytes.h"
#include "base/random.h"

namespace redoubt::apiserver::encryption {

namespace {

using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

constexpr size_t kGcmNonce = 12, kGcmTag = 16, kBlock = 16, kInfo = 32, kSeed = 32;

unsigned char* raw(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}
const unsigned char* raw(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string random_text(size_t size) {
  std::string out(size, '\0');
  random_bytes({raw(out), size});
  return out;
}

const EVP_CIPHER* gcm(size_t key_size) {
  return key_size == 16   ? EVP_aes_128_gcm()
         : key_size == 24 ? EVP_aes_192_gcm()
         : key_size == 32 ? EVP_aes_256_gcm()
                          : nullptr;
}
const EVP_CIPHER* cbc(size_t key_size) {
  return key_size == 16   ? EVP_aes_128_cbc()
         : key_size == 24 ? EVP_aes_192_cbc()
         : key_size == 32 ? EVP_aes_256_cbc()
                          : nullptr;
}

Error too_short() {
  return internal_error("the stored data was shorter than the required size");
}
Error broken_cipher() {
  return internal_error("the cipher can't be set up with this key");
}

}  // namespace

Result<std::string> aes_gcm_seal(std::string_view key, std::string_view plain, std::string_view aad) {
  CipherContext context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  std::string out = random_text(kGcmNonce);
  out.resize(kGcmNonce + plain.size() + kGcmTag);
  const EVP_CIPHER* cipher = gcm(key.size());
  int n = 0;
  if (cipher == nullptr || EVP_EncryptInit_ex(context.get(), cipher, nullptr, raw(key), raw(out)) != 1 ||
      (!aad.empty() && EVP_EncryptUpdate(context.get(), nullptr, &n, raw(aad), static_cast<int>(aad.size())) != 1) ||
      (!plain.empty() &&
       EVP_EncryptUpdate(context.get(), raw(out) + kGcmNonce, &n, raw(plain), static_cast<int>(plain.size())) != 1) ||
      EVP_EncryptFinal_ex(context.get(), raw(out) + kGcmNonce + plain.size(), &n) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kGcmTag, raw(out) + kGcmNonce + plain.size()) != 1)
    return broken_cipher();
  return out;
}

Result<std::string> aes_gcm_open(std::string_view key, std::string_view sealed, std::string_view aad) {
  if (sealed.size() < kGcmNonce + kGcmTag) return too_short();
  std::string_view body = sealed.substr(kGcmNonce, sealed.size() - kGcmNonce - kGcmTag);
  std::string tag(sealed.substr(sealed.size() - kGcmTag));
  std::string out(body.size(), '\0');
  CipherContext context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  const EVP_CIPHER* cipher = gcm(key.size());
  int n = 0;
  if (cipher == nullptr || EVP_DecryptInit_ex(context.get(), cipher, nullptr, raw(key), raw(sealed)) != 1 ||
      (!aad.empty() && EVP_DecryptUpdate(context.get(), nullptr, &n, raw(aad), static_cast<int>(aad.size())) != 1) ||
      (!body.empty() &&
       EVP_DecryptUpdate(context.get(), raw(out), &n, raw(body), static_cast<int>(body.size())) != 1) ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kGcmTag, tag.data()) != 1)
    return broken_cipher();
  unsigned char nothing[kBlock];
  if (EVP_DecryptFinal_ex(context.get(), nothing, &n) != 1) {
    OPENSSL_cleanse(out.data(), out.size());
    return internal_error("cipher: message authentication failed");
  }
  return out;
}

Result<std::string> aes_cbc_seal(std::string_view key, std::string_view plain) {
  CipherContext context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  std::string out = random_text(kBlock);
  out.resize(kBlock + plain.size() + kBlock);
  const EVP_CIPHER* cipher = cbc(key.size());
  int first = 0, last = 0;
  if (cipher == nullptr || EVP_EncryptInit_ex(context.get(), cipher, nullptr, raw(key), raw(out)) != 1 ||
      EVP_EncryptUpdate(context.get(), raw(out) + kBlock, &first, raw(plain), static_cast<int>(plain.size())) != 1 ||
      EVP_EncryptFinal_ex(context.get(), raw(out) + kBlock + first, &last) != 1)
    return broken_cipher();
  out.resize(kBlock + static_cast<size_t>(first + last));
  return out;
}

Result<std::string> aes_cbc_open(std::string_view key, std::string_view sealed) {
  if (sealed.size() < 2 * kBlock) return too_short();
  if (sealed.size() % kBlock != 0) return internal_error("the stored data is not a multiple of the block size");
  std::string_view body = sealed.substr(kBlock);
  std::string out(body.size() + kBlock, '\0');
  CipherContext context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  const EVP_CIPHER* cipher = cbc(key.size());
  int first = 0, last = 0;
  if (cipher == nullptr || EVP_DecryptInit_ex(context.get(), cipher, nullptr, raw(key), raw(sealed)) != 1 ||
      EVP_DecryptUpdate(context.get(), raw(out), &first, raw(body), static_cast<int>(body.size())) != 1)
    return broken_cipher();
  if (EVP_DecryptFinal_ex(context.get(), raw(out) + first, &last) != 1) {
    OPENSSL_cleanse(out.data(), out.size());
    return internal_error("invalid padding on input");
  }
  out.resize(static_cast<size_t>(first + last));
  return out;
}

namespace {

// Picks the fastest code for this processor, once.
bool sodium_ready() {
  static const bool ready = sodium_init() >= 0;
  return ready;
}

}  // namespace

Result<std::string> secretbox_seal(std::string_view key, std::string_view plain) {
  if (key.size() != crypto_secretbox_KEYBYTES || !sodium_ready()) return broken_cipher();
  std::string out = random_text(crypto_secretbox_NONCEBYTES);
  out.resize(out.size() + crypto_secretbox_MACBYTES + plain.size());
  crypto_secretbox_easy(raw(out) + crypto_secretbox_NONCEBYTES, raw(plain), plain.size(), raw(out), raw(key));
  return out;
}

Result<std::string> secretbox_open(std::string_view key, std::string_view sealed) {
  if (key.size() != crypto_secretbox_KEYBYTES || !sodium_ready()) return broken_cipher();
  if (sealed.size() < crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES) return too_short();
  std::string_view body = sealed.substr(crypto_secretbox_NONCEBYTES);
  std::string out(body.size() - crypto_secretbox_MACBYTES, '\0');
  if (crypto_secretbox_open_easy(raw(out), raw(body), body.size(), raw(sealed), raw(key)) != 0)
    return internal_error("secretbox: message authentication failed");
  return out;
}

namespace {

// HKDF-Expand (RFC 5869) with SHA-256, one block.
SecretBytes derive(std::string_view seed, std::string_view info) {
  std::string input(info);
  input += '\x01';
  std::string out(32, '\0');
  unsigned int size = 0;
  HMAC(EVP_sha256(), seed.data(), static_cast<int>(seed.size()), raw(std::string_view(input)), input.size(), raw(out),
       &size);
  return SecretBytes(std::move(out));
}

}  // namespace

Result<std::string> derived_gcm_seal(std::string_view seed, std::string_view plain, std::string_view aad) {
  if (seed.size() < kSeed) return broken_cipher();
  std::string info = random_text(kInfo);
  RD_TRY(std::string sealed, aes_gcm_seal(derive(seed, info).view(), plain, aad));
  return info + sealed;
}

Result<std::string> derived_gcm_open(std::string_view seed, std::string_view sealed, std::string_view aad) {
  if (seed.size() < kSeed) return broken_cipher();
  if (sealed.size() < kInfo) return too_short();
  return aes_gcm_open(derive(seed, sealed.substr(0, kInfo)).view(), sealed.substr(kInfo), aad);
}

}  // namespace redoubt::apiserver::encryption
