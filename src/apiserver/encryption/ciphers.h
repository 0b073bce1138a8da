// The ciphers of upstream's encryption at rest, bytes in, bytes out. What they write is what kube-apiserver reads and
// the other way round. Any thread. Nonces and IVs are random.
#pragma once
#include <string>
#include <string_view>

#include "base/status.h"

namespace redoubt::apiserver::encryption {

// AES-GCM with a 16, 24 or 32 byte key: nonce(12) ciphertext tag(16); `aad` is authenticated with it.
Result<std::string> aes_gcm_seal(std::string_view key, std::string_view plain, std::string_view aad);
Result<std::string> aes_gcm_open(std::string_view key, std::string_view sealed, std::string_view aad);
// AES-CBC with PKCS#7: iv(16) ciphertext. Nothing authenticates it: a change is noticed only where it breaks the
// padding or the object.
Result<std::string> aes_cbc_seal(std::string_view key, std::string_view plain);
Result<std::string> aes_cbc_open(std::string_view key, std::string_view sealed);
// NaCl's secretbox (XSalsa20-Poly1305) with a 32 byte key: nonce(24) tag(16) ciphertext.
Result<std::string> secretbox_seal(std::string_view key, std::string_view plain);
Result<std::string> secretbox_open(std::string_view key, std::string_view sealed);
// AES-256-GCM under a key of its own for each value, HKDF-Expand-SHA256(seed, info): info(32) nonce(12) ciphertext
// tag(16). What KMS v2 writes.
Result<std::string> derived_gcm_seal(std::string_view seed, std::string_view plain, std::string_view aad);
Result<std::string> derived_gcm_open(std::string_view seed, std::string_view sealed, std::string_view aad);

}  // namespace redoubt::apiserver::encryption
