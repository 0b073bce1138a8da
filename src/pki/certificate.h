// Keys, certificates and certificate requests, as PEM text on the outside. RFC 5280, RFC 2986. Any thread; blocking
// only for key generation (well under a millisecond for P-256).
#pragma once
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"

namespace redoubt::pki {

enum class Usage { ClientAuth, ServerAuth };

// A certificate and its key. A copy holds the key too: keep it where it is needed.
struct KeyPair {
  std::string certificate_pem;  // leaf first
  std::string private_key_pem;  // PKCS#8
  bool operator==(const KeyPair&) const = default;
};

struct Subject {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> uids;  // attribute 1.3.6.1.4.1.57683.2: the user's uid, as Kubernetes reads it
};

// A new ECDSA P-256 key, PKCS#8 PEM.
std::string generate_key();
// The public half, SubjectPublicKeyInfo PEM.
Result<std::string> public_key_of(std::string_view private_key_pem);

// A self-signed authority.
Result<KeyPair> make_ca(const std::string& common_name, std::chrono::hours lifetime);

struct Template {
  Subject subject;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  std::vector<Usage> usages;
  std::chrono::seconds lifetime{std::chrono::hours(24 * 365)};
};
// A new key with a certificate signed by `ca`. Valid from five minutes ago (half its life, when that is shorter), so
// that clocks may differ a little; never longer than `ca`.
Result<KeyPair> issue(const KeyPair& ca, const Template& wanted);
// Signs a request's key as `wanted` says.
Result<std::string> sign_request(const KeyPair& ca, std::string_view csr_pem, const Template& wanted);

// A PKCS#10 request.
Result<std::string> make_request(std::string_view private_key_pem, const Subject& subject,
                                 const std::vector<std::string>& dns_names = {},
                                 const std::vector<std::string>& ip_addresses = {});

struct Request {
  Subject subject;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  std::vector<std::string> emails;
  std::vector<std::string> uris;
  bool other_names = false;  // alternative names of further types, or subject fields besides O and CN
};
// Parses and checks the request's own signature. BadRequest for a key that is too weak (below 112 bits of security).
Result<Request> parse_request(std::string_view csr_pem);

struct Certificate {
  Subject subject;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  Timestamp not_before{};
  Timestamp not_after{};
  std::string fingerprint_sha256;  // hex, of the DER form
  std::string spki_hash;           // "sha256:HEX" of the SubjectPublicKeyInfo, as kubeadm pins it
  bool is_ca = false;
};
// The first certificate of a PEM text, or one in DER.
Result<Certificate> parse_certificate(std::string_view pem);
Result<Certificate> parse_certificate_der(std::string_view der);

// True when the certificate is of the private key.
bool belongs_together(const KeyPair& pair);
// True when the authority's key signed the (first) certificate.
bool is_signed_by(std::string_view certificate_pem, std::string_view ca_pem);

// Authorities to verify chains against; made once, shared.
class TrustBundle {
 public:
  static Result<std::shared_ptr<const TrustBundle>> from_pem(std::string_view pem);
  virtual ~TrustBundle() = default;
  // Verifies a chain (DER, leaf first) for a use, at the present time. Unauthorized says what is wrong, in Go's words.
  virtual Result<Certificate> verify(std::span<const std::string> chain_der, Usage usage) const = 0;
  // Changes when what is trusted does: an answer remembered under another generation is to be asked for again.
  virtual uint64_t generation() const { return 0; }
};
// Every certificate of a PEM text.
std::vector<Certificate> parse_certificates(std::string_view pem);

// Writes a file that only its owner can read (0600), by way of a temporary one: never half a key. `mode` 0644 for what
// is public.
Result<void> write_file(const std::string& path, std::string_view content, int mode = 0600);
Result<std::string> read_file(const std::string& path);

}  // namespace redoubt::pki
