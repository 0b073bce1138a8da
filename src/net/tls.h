// TLS for both sides: contexts made from PEM, certificates swapped without a restart, peers checked the way each path
// asks.
//
// TLS 1.2 and up, ALPN h2 and http/1.1, session tickets with rotated keys, SNI, SSL_MODE_RELEASE_BUFFERS. Private keys
// never appear in an error. RFC 8446, 5246, 7301.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/task.h"
#include "net/stream.h"

typedef struct ssl_ctx_st SSL_CTX;

namespace redoubt::net {

// What a server speaks at least: upstream's --tls-min-version and --tls-cipher-suites.
struct TlsPolicy {
  std::string min_version;                 // "VersionTLS12" (the default) or "VersionTLS13"
  std::vector<std::string> cipher_suites;  // IANA names; empty: every suite with forward secrecy and AEAD
};
// BadRequest names what is not known, or too weak to be offered.
Result<void> check_policy(const TlsPolicy& policy);

// A server's identity. Copies share; any thread.
//
// Sessions are resumed by tickets alone (RFC 8446 4.6.1, 5077): nothing is kept, and the keys that seal them change
// every two hours. A ticket carries the client's certificates, which are verified anew on each connection.
class TlsServerContext {
 public:
  struct Options {
    std::string certificate_pem;  // leaf first, then intermediates
    std::string private_key_pem;
    // Ask clients for a certificate and take whatever they send: the authenticator verifies the chain itself, so that a
    // wrong certificate gets a 401 that says why and a bearer token still works. The CA names below are sent as a hint.
    bool request_client_certificate = true;
    std::string client_ca_hint_pem;
    // When set, a client without a certificate for client use from one of these is refused within the handshake.
    std::string required_client_ca_pem;
    std::vector<std::string> alpn = {"h2", "http/1.1"};
    // Certificates for clients that name one of `names` (SNI): exactly, or by "*.example.com". Without names: those
    // that the certificate carries.
    struct Sni {
      std::string certificate_pem, private_key_pem;
      std::vector<std::string> names;
    };
    std::vector<Sni> sni;
    TlsPolicy policy;
  };
  static Result<std::shared_ptr<TlsServerContext>> make(Options options);
  virtual ~TlsServerContext() = default;
  // New connections get the new certificate; old ones keep theirs. On error nothing changes.
  virtual Result<void> replace_certificate(std::string certificate_pem, std::string private_key_pem) = 0;
  // The same for the authorities' names that clients are given as a hint, and for the certificates by name.
  virtual Result<void> replace_client_ca_hint(std::string pem) = 0;
  virtual Result<void> replace_sni(std::vector<Options::Sni> sni) = 0;
};

// What a client trusts, and who it is.
class TlsClientContext {
 public:
  struct Options {
    std::string ca_pem;           // the only roots trusted; empty: the system's
    std::string certificate_pem;  // the client's own, may be empty
    std::string private_key_pem;
    // The name that the peer's certificate must carry as a SAN; empty: the host dialled. IP addresses match IP SANs.
    std::string server_name;
    // When set, the leaf's subject CommonName must equal it too, besides a chain to ca_pem (kubelets:
    // "system:node:NAME"), and SAN names are checked only if server_name is set.
    std::string required_common_name;
    // SHA-256 of the SubjectPublicKeyInfo of a CA, "sha256:HEX": the chain the server presents must hold a CA
    // certificate with that hash, and it is then the only root (discovery by pinned hash at join).
    std::vector<std::string> pinned_ca_hashes;
    std::vector<std::string> alpn = {"h2", "http/1.1"};
  };
  static Result<std::shared_ptr<TlsClientContext>> make(Options options);
  virtual ~TlsClientContext() = default;
  // Later handshakes present the new certificate.
  virtual Result<void> replace_certificate(std::string certificate_pem, std::string private_key_pem) = 0;
  // Later handshakes trust these roots and no others. Not for contexts with pinned hashes.
  virtual Result<void> replace_roots(std::string ca_pem) = 0;
  // With pinned_ca_hashes: the authority that matched in a handshake, PEM; empty before the first.
  virtual std::string pinned_ca() const = 0;
};

struct TlsPeer {
  std::string version;
  bool resumed = false;
  std::string alpn;
  std::string server_name;
  std::vector<std::string> certificates_der;  // leaf first
};

struct TlsStream {
  StreamPtr stream;
  TlsPeer peer;
};

// Runs the handshake over `transport`. Errors name what failed: "x509: certificate signed by unknown authority",
// "x509: certificate is valid for a, not b", "certificate has expired", ...
Task<Result<TlsStream>> tls_accept(StreamPtr transport, std::shared_ptr<TlsServerContext> context);
// `http1_only` offers no other protocol by ALPN (for upgrades).
Task<Result<TlsStream>> tls_connect(StreamPtr transport, std::shared_ptr<TlsClientContext> context, std::string host,
                                    bool http1_only = false);

}  // namespace redoubt::net
