// A token or a certificate request of any bytes: no crash, and nothing without a right signature passes.
#include <cstdlib>
#include <string_view>

#include "pki/certificate.h"
#include "pki/jwt.h"

using namespace redoubt::pki;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto verifier = *TokenVerifier::from_pem({generate_key()});
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (verifier->verify(text)) std::abort();
  (void)parse_request(text);
  (void)parse_certificate(text);
  (void)parse_certificate_der(text);
  return 0;
}
