#include "pki/live.h"

namespace redoubt::pki {

Result<std::shared_ptr<LiveTrust>> LiveTrust::from_pem(std::string_view pem) {
  auto out = std::make_shared<LiveTrust>();
  RD_TRYV(out->replace(pem));
  return out;
}

Result<Certificate> LiveTrust::verify(std::span<const std::string> chain_der, Usage usage) const {
  std::shared_ptr<const TrustBundle> bundle;
  {
    std::lock_guard lock(mutex_);
    bundle = current_;
  }
  return bundle->verify(chain_der, usage);
}

Result<void> LiveTrust::replace(std::string_view pem) {
  RD_TRY(auto made, TrustBundle::from_pem(pem));
  std::lock_guard lock(mutex_);
  if (pem_ == pem) return {};
  current_ = std::move(made);
  pem_ = pem;
  generation_.fetch_add(1);
  return {};
}

Result<std::shared_ptr<LiveVerifier>> LiveVerifier::from_pem(const std::vector<std::string>& keys_pem) {
  auto out = std::make_shared<LiveVerifier>();
  RD_TRYV(out->replace(keys_pem));
  return out;
}

std::shared_ptr<const TokenVerifier> LiveVerifier::current() const {
  std::lock_guard lock(mutex_);
  return current_;
}

Result<std::string> LiveVerifier::verify(std::string_view token) const {
  return current()->verify(token);
}

std::string LiveVerifier::jwks() const {
  return current()->jwks();
}

Result<void> LiveVerifier::replace(const std::vector<std::string>& keys_pem) {
  RD_TRY(auto made, TokenVerifier::from_pem(keys_pem));
  std::lock_guard lock(mutex_);
  if (keys_pem_ == keys_pem) return {};
  current_ = std::move(made);
  keys_pem_ = keys_pem;
  generation_.fetch_add(1);
  return {};
}

Result<std::shared_ptr<LiveSigner>> LiveSigner::from_pem(std::string_view private_key_pem) {
  auto out = std::make_shared<LiveSigner>();
  RD_TRYV(out->replace(private_key_pem));
  return out;
}

std::string LiveSigner::sign(std::string_view claims) const {
  std::shared_ptr<const TokenSigner> signer;
  {
    std::lock_guard lock(mutex_);
    signer = current_;
  }
  return signer->sign(claims);
}

Result<void> LiveSigner::replace(std::string_view private_key_pem) {
  RD_TRY(auto made, TokenSigner::from_pem(private_key_pem));
  std::lock_guard lock(mutex_);
  current_ = std::move(made);
  return {};
}

}  // namespace redoubt::pki
