// Key bytes: wiped when they go, never printed.
#pragma once
#include <openssl/crypto.h>

#include <string>
#include <string_view>
#include <utility>

namespace redoubt::apiserver::encryption {

class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(std::string bytes) : bytes_(std::move(bytes)) {}
  SecretBytes(const SecretBytes&) = default;
  SecretBytes& operator=(const SecretBytes&) = default;
  SecretBytes(SecretBytes&& other) noexcept : bytes_(std::move(other.bytes_)) { other.wipe(); }
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    wipe();
    bytes_ = std::move(other.bytes_);
    other.wipe();
    return *this;
  }
  ~SecretBytes() { wipe(); }
  std::string_view view() const { return bytes_; }
  size_t size() const { return bytes_.size(); }

 private:
  void wipe() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }
  std::string bytes_;
};

}  // namespace redoubt::apiserver::encryption
