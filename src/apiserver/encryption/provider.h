// One provider of a configuration: what writes values behind a prefix, and reads them again.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "apiserver/encryption/config.h"
#include "apiserver/encryption/limits.h"
#include "base/status.h"
#include "store/transformer.h"

namespace redoubt::apiserver::encryption {

using store::SealId;

class Provider {
 public:
  virtual ~Provider() = default;
  // What every value of it starts with: "k8s:enc:aescbc:v1:"; empty for identity.
  virtual std::string_view prefix() const = 0;
  // A value for the store, prefix included. `key` ("/registry/secrets/default/x") is authenticated with it where the
  // cipher can.
  virtual Result<store::Transformer::Sealed> seal(std::string_view key, std::string_view plain) const = 0;
  // `sealed` starts with prefix().
  virtual Result<store::Transformer::Opened> open(std::string_view key, std::string_view sealed) const = 0;
  // What seal() would mark its next value with.
  virtual SealId current_seal() const = 0;
  // Of a plug-in: the reason why it can't be relied upon.
  virtual Result<void> healthy() const { return {}; }
};

// aesgcm, aescbc or secretbox.
std::shared_ptr<const Provider> make_local_provider(const ProviderConfig& config);
// How often a plug-in is asked, and how long it is trusted; other values are for tests.
struct KmsTiming {
  std::chrono::milliseconds when_healthy = kProbeWhenHealthy;
  std::chrono::milliseconds when_not = kProbeWhenNot;
  std::chrono::milliseconds seed_life = kSeedLife;
  std::chrono::milliseconds patience = kStartPatience;
};
// A KMS v2 plug-in: asks it once, then goes on watching it.
std::shared_ptr<const Provider> make_kms_provider(const ProviderConfig& config, KmsTiming timing = {});

// Tells values of one key from those of every other, without telling anything of the key.
SealId seal_id(std::string_view prefix, std::string_view name, std::string_view key);

}  // namespace redoubt::apiserver::encryption
