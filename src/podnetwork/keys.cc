#include "podnetwork/keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>
#include <filesystem>
#include <memory>

#include "base/encoding.h"
#include "base/random.h"
#include "pki/certificate.h"

namespace redoubt::podnetwork {

namespace {

constexpr size_t kKeyBytes = 32;

using Pkey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

}  // namespace

bool is_key(const std::string& text) {
  auto bytes = base64_decode(text);
  return bytes && bytes->size() == kKeyBytes && bytes->find_first_not_of('\0') != std::string::npos &&
         base64_encode(*bytes) == text;
}

Result<std::string> public_key_of(const std::string& private_key) {
  auto bytes = base64_decode(private_key);
  if (!bytes || bytes->size() != kKeyBytes) return bad_request("not a WireGuard key");
  Pkey key(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, reinterpret_cast<const unsigned char*>(bytes->data()),
                                        bytes->size()),
           EVP_PKEY_free);
  OPENSSL_cleanse(bytes->data(), bytes->size());
  std::string out(kKeyBytes, '\0');
  size_t size = out.size();
  if (!key || EVP_PKEY_get_raw_public_key(key.get(), reinterpret_cast<unsigned char*>(out.data()), &size) != 1)
    return internal_error("OpenSSL can't use X25519");
  return base64_encode(out);
}

Key make_key() {
  std::array<unsigned char, kKeyBytes> bytes{};
  random_bytes(bytes);
  // As X25519 uses it (RFC 7748, 5), and wg genkey writes it.
  bytes[0] &= 248;
  bytes[31] = static_cast<unsigned char>((bytes[31] & 127) | 64);
  Key out;
  out.private_key = base64_encode(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  OPENSSL_cleanse(bytes.data(), bytes.size());
  if (auto made = public_key_of(out.private_key)) out.public_key = *made;
  return out;
}

Result<Key> load_key(const std::string& file, std::chrono::seconds lifetime) {
  std::error_code error;
  auto written = std::filesystem::last_write_time(file, error);
  bool fresh = !error && (lifetime.count() == 0 || std::filesystem::file_time_type::clock::now() - written < lifetime);
  if (fresh) {
    if (auto text = pki::read_file(file)) {
      while (!text->empty() && text->back() == '\n') text->pop_back();
      if (auto known = public_key_of(*text)) return Key{std::move(*text), std::move(*known)};
    }
  }
  Key made = make_key();
  if (made.public_key.empty()) return internal_error("OpenSSL can't use X25519");
  RD_TRYV(pki::write_file(file, made.private_key + "\n", 0600));
  return made;
}

}  // namespace redoubt::podnetwork
