// Certificates and requests as peers send them, of any bytes: no crash, none verifies, and who a certificate names has
// a name.
#include "apiserver/auth/x509.h"

#include <cstdlib>
#include <string>
#include <string_view>

#include "pki/jwks.h"

using namespace redoubt;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto authorities =
      *pki::TrustBundle::from_pem(pki::make_ca("ca", std::chrono::hours(1))->certificate_pem);
  static const apiserver::CertificateAuthenticator authenticator(authorities);
  std::string_view text(reinterpret_cast<const char*>(data), size);
  net::ConnectionInfo connection;
  connection.peer_certificates = {std::string(text.substr(0, size / 2)), std::string(text.substr(size / 2))};
  if (auto attempt = authenticator.authenticate(connection); attempt && *attempt) std::abort();
  (void)pki::parse_request(text);
  (void)pki::parse_certificate(text);
  (void)pki::parse_certificate_der(text);
  (void)pki::TrustBundle::from_pem(text);
  if (auto keys = pki::KeySet::from_jwks(text)) (void)(*keys)->verify("e30.e30.e30", {"RS256", "ES256"});
  (void)pki::unverified_claims(text);
  return 0;
}
