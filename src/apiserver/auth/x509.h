// Client certificates: CN is the name, O the groups, attribute 1.3.6.1.4.1.57683.2 the uid. Verified once a
// connection; the end of the certificate's life is checked on each request. Any thread.
#pragma once
#include <memory>

#include "apiserver/auth/authentication.h"
#include "net/http.h"
#include "pki/certificate.h"

namespace redoubt::apiserver {

// Verifies the certificates of a connection once and remembers what came of it with the connection, for each authority
// that somebody asks about (client certificates, front proxies).
class CertificateVerifier {
 public:
  explicit CertificateVerifier(std::shared_ptr<const pki::TrustBundle> authorities)
      : authorities_(std::move(authorities)) {}
  // The leaf, good for client authentication at the present time. Unauthorized says why not.
  Result<std::shared_ptr<const pki::Certificate>> verify(const net::ConnectionInfo& connection) const;

 private:
  std::shared_ptr<const pki::TrustBundle> authorities_;
};

class CertificateAuthenticator {
 public:
  explicit CertificateAuthenticator(std::shared_ptr<const pki::TrustBundle> authorities)
      : verifier_(std::move(authorities)) {}
  // Nothing when the connection brought no certificate.
  Attempt authenticate(const net::ConnectionInfo& connection) const;

 private:
  CertificateVerifier verifier_;
};

}  // namespace redoubt::apiserver
