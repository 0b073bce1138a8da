// apiserver.config.k8s.io/v1 EncryptionConfiguration: which resources are encrypted on disk, and with what.
// https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/encryption/secret_bytes.h"
#include "base/status.h"

namespace redoubt::apiserver::encryption {

struct Key {
  std::string name;
  SecretBytes secret;  // decoded
};

enum class ProviderKind : uint8_t { AesGcm, AesCbc, Secretbox, Identity, Kms };

struct ProviderConfig {
  ProviderKind kind = ProviderKind::Identity;
  std::vector<Key> keys;  // AesGcm, AesCbc, Secretbox; the first writes
  // Kms
  std::string name;
  std::string socket;  // the path of unix:///path; "@name" is an abstract socket
  std::chrono::milliseconds timeout{3000};
};

struct ResourceConfig {
  std::vector<GroupResource> resources;   // "*" stands for any resource, or, of "*.*", any group
  std::vector<ProviderConfig> providers;  // the first writes, all read
};

struct Config {
  std::vector<ResourceConfig> resources;
};

// YAML or JSON; every field known, every key decoded and of a right length. BadRequest names the field in upstream's
// words, and never a key.
Result<Config> parse_config(std::string_view text);

}  // namespace redoubt::apiserver::encryption
