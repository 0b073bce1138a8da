// Session tickets: sealed with AES-256-CBC and HMAC-SHA-256 under keys that only this process holds, each in use for
// two hours and accepted for two more (RFC 5077 section 4, RFC 8446 section 4.6.1).
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/ssl.h>

#include <array>
#include <chrono>
#include <cstring>
#include <deque>
#include <mutex>

#include "base/random.h"
#include "net/limits.h"
#include "net/tls_context.h"

namespace redoubt::net {

namespace {

// Put in place of a chain that is too long for a ticket: such a session is not resumed.
constexpr std::string_view kTooLong = "!";

struct TicketKey {
  std::array<unsigned char, 16> name;
  std::array<unsigned char, 32> cipher;
  std::array<unsigned char, 32> mac;
  std::chrono::steady_clock::time_point made;
  ~TicketKey() {
    OPENSSL_cleanse(cipher.data(), cipher.size());
    OPENSSL_cleanse(mac.data(), mac.size());
  }
};

class TicketKeysImpl : public TicketKeys, public std::enable_shared_from_this<TicketKeysImpl> {
 public:
  void use_in(SSL_CTX* context) override {
    static constexpr unsigned char kContext[] = "redoubt";
    SSL_CTX_set_session_id_context(context, kContext, sizeof kContext - 1);
    SSL_CTX_set_ex_data(context, index(), new std::shared_ptr<TicketKeysImpl>(shared_from_this()));
    SSL_CTX_set_timeout(context, std::chrono::seconds(kTicketKeyLifetime).count());
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, &TicketKeysImpl::choose);
    SSL_CTX_set_session_ticket_cb(context, &TicketKeysImpl::fill, &TicketKeysImpl::judge, nullptr);
  }

  void rotate() override {
    std::lock_guard lock(mutex_);
    add();
  }

 private:
  static int index() {
    static int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr,
                                                [](void*, void* pointer, CRYPTO_EX_DATA*, int, long, void*) {
                                                  delete static_cast<std::shared_ptr<TicketKeysImpl>*>(pointer);
                                                });
    return index;
  }

  void add() {
    auto key = std::make_shared<TicketKey>();
    random_bytes(key->name);
    random_bytes(key->cipher);
    random_bytes(key->mac);
    key->made = std::chrono::steady_clock::now();
    keys_.push_front(std::move(key));
    // The one in use, and the one before it.
    while (keys_.size() > 2) keys_.pop_back();
  }

  // The key that seals; a new one when it has been in use for long enough.
  std::shared_ptr<const TicketKey> newest() {
    std::lock_guard lock(mutex_);
    if (keys_.empty() || std::chrono::steady_clock::now() - keys_.front()->made > kTicketKeyLifetime) add();
    return keys_.front();
  }
  std::shared_ptr<const TicketKey> named(const unsigned char* name, bool& old) {
    std::lock_guard lock(mutex_);
    for (size_t i = 0; i < keys_.size(); ++i) {
      if (std::memcmp(keys_[i]->name.data(), name, 16) != 0) continue;
      old = i > 0;
      bool over = std::chrono::steady_clock::now() - keys_[i]->made > 2 * kTicketKeyLifetime;
      return over ? nullptr : keys_[i];
    }
    return nullptr;
  }

  static int choose(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                    int encrypt) {
    auto* self = static_cast<std::shared_ptr<TicketKeysImpl>*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), index()));
    if (self == nullptr) return 0;
    bool old = false;
    std::shared_ptr<const TicketKey> key = encrypt != 0 ? (*self)->newest() : (*self)->named(name, old);
    if (!key) return 0;
    if (encrypt != 0) {
      std::memcpy(name, key->name.data(), key->name.size());
      random_bytes({iv, static_cast<size_t>(EVP_CIPHER_get_iv_length(EVP_aes_256_cbc()))});
    }
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_octet_string(
                                   OSSL_MAC_PARAM_KEY, const_cast<unsigned char*>(key->mac.data()), key->mac.size()),
                               OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, sizeof digest - 1),
                               OSSL_PARAM_construct_end()};
    if (EVP_MAC_CTX_set_params(mac, parameters) != 1) return -1;
    int ok = encrypt != 0 ? EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key->cipher.data(), iv)
                          : EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key->cipher.data(), iv);
    if (ok != 1) return -1;
    return old ? 2 : 1;  // 2: works, and a new ticket is due
  }

  // A session remembers the leaf only; the rest of the client's chain goes into the ticket beside it.
  static int fill(SSL* ssl, void*) {
    std::string packed;
    STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl);
    for (int i = 0; i < sk_X509_num(chain); ++i) {
      unsigned char* der = nullptr;
      int size = i2d_X509(sk_X509_value(chain, i), &der);
      if (size <= 0) continue;
      packed += static_cast<char>(size >> 16 & 0xff);
      packed += static_cast<char>(size >> 8 & 0xff);
      packed += static_cast<char>(size & 0xff);
      packed.append(reinterpret_cast<char*>(der), static_cast<size_t>(size));
      OPENSSL_free(der);
    }
    if (SSL_session_reused(ssl) == 1 && packed.empty()) {
      // A renewed ticket keeps what the old one said.
      return 1;
    }
    if (packed.size() > kMaxTicketChainBytes) packed = kTooLong;
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), packed.data(), packed.size());
  }

  static SSL_TICKET_RETURN judge(SSL*, SSL_SESSION* session, const unsigned char*, size_t, SSL_TICKET_STATUS status,
                                 void*) {
    if (status == SSL_TICKET_EMPTY || status == SSL_TICKET_NO_DECRYPT) return SSL_TICKET_RETURN_IGNORE_RENEW;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) return SSL_TICKET_RETURN_ABORT;
    void* data = nullptr;
    size_t size = 0;
    if (SSL_SESSION_get0_ticket_appdata(session, &data, &size) == 1 &&
        std::string_view(static_cast<const char*>(data), size) == kTooLong)
      return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
  }

  std::mutex mutex_;
  std::deque<std::shared_ptr<TicketKey>> keys_;  // newest first
};

}  // namespace

std::shared_ptr<TicketKeys> TicketKeys::make() {
  return std::make_shared<TicketKeysImpl>();
}

std::vector<std::string> chain_of_ticket(SSL* ssl) {
  std::vector<std::string> out;
  void* data = nullptr;
  size_t size = 0;
  SSL_SESSION* session = SSL_get_session(ssl);
  if (session == nullptr || SSL_SESSION_get0_ticket_appdata(session, &data, &size) != 1 || data == nullptr) return out;
  std::string_view rest(static_cast<const char*>(data), size);
  while (rest.size() > 3) {
    auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(rest[i])); };
    size_t length = byte(0) << 16 | byte(1) << 8 | byte(2);
    if (length > rest.size() - 3) break;
    out.emplace_back(rest.substr(3, length));
    rest.remove_prefix(3 + length);
  }
  return out;
}

}  // namespace redoubt::net
