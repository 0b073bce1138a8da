#include "apiserver/encryption/provider.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <cstring>

#include "apiserver/encryption/ciphers.h"

namespace redoubt::apiserver::encryption {

namespace {

using store::Transformer;

class LocalProvider : public Provider {
 public:
  explicit LocalProvider(const ProviderConfig& config) : kind_(config.kind) {
    prefix_ = kind_ == ProviderKind::AesGcm   ? "k8s:enc:aesgcm:v1:"
              : kind_ == ProviderKind::AesCbc ? "k8s:enc:aescbc:v1:"
                                              : "k8s:enc:secretbox:v1:";
    for (const Key& key : config.keys) {
      keys_.push_back({key.name + ":", key.secret, seal_id(prefix_, key.name, key.secret.view())});
    }
  }

  std::string_view prefix() const override { return prefix_; }
  SealId current_seal() const override { return keys_.front().id; }

  Result<Transformer::Sealed> seal(std::string_view key, std::string_view plain) const override {
    const Entry& entry = keys_.front();
    RD_TRY(std::string sealed, kind_ == ProviderKind::AesGcm   ? aes_gcm_seal(entry.secret.view(), plain, key)
                               : kind_ == ProviderKind::AesCbc ? aes_cbc_seal(entry.secret.view(), plain)
                                                               : secretbox_seal(entry.secret.view(), plain));
    std::string out;
    out.reserve(prefix_.size() + entry.prefix.size() + sealed.size());
    out.append(prefix_).append(entry.prefix).append(sealed);
    return Transformer::Sealed{std::move(out), entry.id};
  }

  Result<Transformer::Opened> open(std::string_view key, std::string_view sealed) const override {
    sealed.remove_prefix(prefix_.size());
    std::optional<Status> failed;
    for (const Entry& entry : keys_) {
      // Several keys may have one name while they are rotated: whichever fits.
      if (!sealed.starts_with(entry.prefix)) continue;
      std::string_view body = sealed.substr(entry.prefix.size());
      auto plain = kind_ == ProviderKind::AesGcm   ? aes_gcm_open(entry.secret.view(), body, key)
                   : kind_ == ProviderKind::AesCbc ? aes_cbc_open(entry.secret.view(), body)
                                                   : secretbox_open(entry.secret.view(), body);
      if (plain) return Transformer::Opened{std::move(*plain), entry.id};
      failed = plain.error().with_context(fmt::format("{}{}", prefix_, entry.prefix));
    }
    if (failed) return Error(*failed);
    // The name is in the clear and short; anything else is no name.
    std::string_view name = sealed.substr(0, std::min<size_t>(sealed.find(':'), 64));
    bool printable = std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
    return internal_error(fmt::format("no key of the configuration matches {}{}", prefix_, printable ? name : "..."));
  }

 private:
  struct Entry {
    std::string prefix;
    SecretBytes secret;
    SealId id;
  };
  ProviderKind kind_;
  std::string prefix_;
  std::vector<Entry> keys_;
};

}  // namespace

SealId seal_id(std::string_view prefix, std::string_view name, std::string_view key) {
  std::string input = fmt::format("{}{}:", prefix, name);
  input += key;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(input.data(), input.size(), digest, &size, EVP_sha256(), nullptr);
  OPENSSL_cleanse(input.data(), input.size());
  SealId out = 0;
  std::memcpy(&out, digest, sizeof out);
  return out == 0 ? 1 : out;  // 0 stands for plain text
}

std::shared_ptr<const Provider> make_local_provider(const ProviderConfig& config) {
  return std::make_shared<LocalProvider>(config);
}

}  // namespace redoubt::apiserver::encryption
