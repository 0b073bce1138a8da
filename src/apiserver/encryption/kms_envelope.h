// What is stored of a value that a KMS v2 plug-in's seed encrypted (upstream's EncryptedObject), and the plug-in's
// messages, as protobuf (k8s.io/kms/apis/v2). Bytes from disk and from a socket: every field is checked.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace redoubt::apiserver::encryption {

enum class DekSource : uint8_t { AesGcmKey = 0, HkdfSeed = 1 };

struct EncryptedObject {
  std::string data;
  std::string key_id;
  std::string encrypted_dek;
  std::map<std::string, std::string> annotations;
  DekSource source = DekSource::HkdfSeed;
};
std::string to_bytes(const EncryptedObject& object);
// Upstream's limits hold: key id, encrypted key and annotations are there and short enough.
Result<EncryptedObject> parse_encrypted_object(std::string_view bytes);
Result<void> check_encrypted_object(const EncryptedObject& object);

struct KmsStatus {
  std::string version, healthz, key_id;
};
Result<KmsStatus> parse_kms_status(std::string_view bytes);

std::string encrypt_request(std::string_view plain, std::string_view uid);
struct EncryptAnswer {
  std::string ciphertext, key_id;
  std::map<std::string, std::string> annotations;
};
Result<EncryptAnswer> parse_encrypt_answer(std::string_view bytes);

std::string decrypt_request(const EncryptedObject& object, std::string_view uid);
Result<std::string> parse_decrypt_answer(std::string_view bytes);

}  // namespace redoubt::apiserver::encryption
