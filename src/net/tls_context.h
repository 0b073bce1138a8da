// OpenSSL's pieces that tls.cc and tls_stream.cc share. For net/'s own use.
#pragma once
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/tls.h"

namespace redoubt::net {

using X509Ptr = std::unique_ptr<X509, decltype(&X509_free)>;
using SslCtxPtr = std::shared_ptr<SSL_CTX>;

// The oldest queued OpenSSL error as text; empties the queue.
std::string openssl_error();
Result<std::vector<X509Ptr>> parse_certificates(std::string_view pem);

// Applies what a server speaks; the policy has been checked.
void apply_policy(SSL_CTX* context, const TlsPolicy& policy);

// Seals tickets with keys of its own, for every context it is given to. Any thread.
class TicketKeys {
 public:
  virtual ~TicketKeys() = default;
  static std::shared_ptr<TicketKeys> make();
  // `context` keeps it alive.
  virtual void use_in(SSL_CTX* context) = 0;
  // As if two hours had passed. For tests.
  virtual void rotate() = 0;
};
// The certificates beyond the leaf that a resumed client showed when its session began, DER.
std::vector<std::string> chain_of_ticket(SSL* ssl);

// Decides about a server by the certificate it showed and what it sent beside it.
using VerifyServer = std::function<Result<void>(X509* leaf, STACK_OF(X509) * chain)>;
// Has a client's context ask the handshake's VerifyServer.
void verify_by_handshake(SSL_CTX* context);

// Runs a handshake; `verify` (client) decides before a certificate or anything else of ours is sent.
Task<Result<TlsStream>> tls_handshake(StreamPtr transport, SslCtxPtr context, bool server, std::string server_name,
                                      VerifyServer verify = {}, bool http1_only = false);

}  // namespace redoubt::net
