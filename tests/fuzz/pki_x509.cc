// A certificate request or a certificate of any bytes: no crash; what is signed for a request is what was asked, by the
// authority, and says it is no authority.
#include <cstdlib>
#include <string_view>

#include "pki/certificate.h"

using namespace redoubt::pki;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const KeyPair ca = *make_ca("fuzz", std::chrono::hours(1));
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto request = parse_request(text)) {
    Template wanted;
    wanted.subject = request->subject;
    wanted.dns_names = request->dns_names;
    wanted.ip_addresses = request->ip_addresses;
    wanted.usages = {Usage::ClientAuth};
    auto signed_pem = sign_request(ca, text, wanted);
    if (signed_pem) {
      auto certificate = parse_certificate(*signed_pem);
      if (!certificate || certificate->is_ca || !is_signed_by(*signed_pem, ca.certificate_pem)) std::abort();
    }
  }
  (void)parse_certificates(text);
  (void)parse_certificate_der(text);
  (void)TrustBundle::from_pem(text);
  return 0;
}
