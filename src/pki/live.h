// What a process trusts and signs with, replaced while it is in use: authorities and token keys are rotated without a
// restart, and whoever verifies holds one of these and never notices.
//
// Each call uses one whole state, the old or the new. Any thread; a replacement is one atomic store.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "pki/certificate.h"
#include "pki/jwt.h"

namespace redoubt::pki {

class LiveTrust : public TrustBundle {
 public:
  static Result<std::shared_ptr<LiveTrust>> from_pem(std::string_view pem);
  Result<Certificate> verify(std::span<const std::string> chain_der, Usage usage) const override;
  uint64_t generation() const override { return generation_.load(); }
  // On error nothing changes. A text equal to the one in use changes nothing, and keeps the generation.
  Result<void> replace(std::string_view pem);

 private:
  mutable std::mutex mutex_;  // guards the two below; held for a pointer's copy
  std::shared_ptr<const TrustBundle> current_;
  std::string pem_;
  std::atomic<uint64_t> generation_{0};
};

class LiveVerifier : public TokenVerifier {
 public:
  static Result<std::shared_ptr<LiveVerifier>> from_pem(const std::vector<std::string>& keys_pem);
  Result<std::string> verify(std::string_view token) const override;
  std::string jwks() const override;
  uint64_t generation() const override { return generation_.load(); }
  Result<void> replace(const std::vector<std::string>& keys_pem);

 private:
  std::shared_ptr<const TokenVerifier> current() const;
  mutable std::mutex mutex_;
  std::shared_ptr<const TokenVerifier> current_;
  std::vector<std::string> keys_pem_;
  std::atomic<uint64_t> generation_{0};
};

class LiveSigner : public TokenSigner {
 public:
  static Result<std::shared_ptr<LiveSigner>> from_pem(std::string_view private_key_pem);
  std::string sign(std::string_view claims) const override;
  Result<void> replace(std::string_view private_key_pem);

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const TokenSigner> current_;
};

}  // namespace redoubt::pki
