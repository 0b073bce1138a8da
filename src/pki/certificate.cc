#include "pki/certificate.h"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <ctime>

#include "base/encoding.h"
#include "pki/openssl_ptr.h"

namespace redoubt::pki {

namespace {

constexpr int kVerifyLevel = 2;
constexpr int kMinSecurityBits = 112;
constexpr std::chrono::minutes kBackdate{5};

Error broken(std::string_view what) {
  ERR_clear_error();
  return bad_request(std::string(what));
}

Ptr<EVP_PKEY> make_key() {
  return Ptr<EVP_PKEY>(EVP_EC_gen("P-256"));
}

Result<Ptr<EVP_PKEY>> read_key(std::string_view pem) {
  Ptr<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio_over(pem).get(), nullptr, nullptr, no_passphrase()));
  if (!key) return broken("not a PEM private key");
  return key;
}

std::string key_pem(EVP_PKEY* key) {
  auto bio = empty_bio();
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return text_of(bio.get());
}

std::string certificate_pem(X509* certificate) {
  auto bio = empty_bio();
  PEM_write_bio_X509(bio.get(), certificate);
  return text_of(bio.get());
}

// The uid of a user, Kubernetes' own attribute of a subject.
const ASN1_OBJECT* user_uid_attribute() {
  static const ASN1_OBJECT* const made = OBJ_txt2obj("1.3.6.1.4.1.57683.2", 1);
  return made;
}

// Names longer than the 64 characters that X.520 once set are written as they are: users' names (a ServiceAccount's, a
// node's) may be longer, and nothing that reads them minds.
void set_name(X509_NAME* name, const Subject& subject) {
  auto bytes = [](const std::string& value) { return reinterpret_cast<const unsigned char*>(value.data()); };
  auto add = [&](int nid, const std::string& value) {
    X509_NAME_add_entry_by_NID(name, nid, V_ASN1_UTF8STRING, bytes(value), static_cast<int>(value.size()), -1, 0);
  };
  for (const std::string& organization : subject.organizations) add(NID_organizationName, organization);
  if (!subject.common_name.empty()) add(NID_commonName, subject.common_name);
  for (const std::string& uid : subject.uids)
    X509_NAME_add_entry_by_OBJ(name, user_uid_attribute(), V_ASN1_UTF8STRING, bytes(uid), static_cast<int>(uid.size()),
                               -1, 0);
}

Subject name_of(const X509_NAME* name) {
  Subject out;
  for (int i = 0; i < X509_NAME_entry_count(name); ++i) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(name, i);
    int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    unsigned char* text = nullptr;
    int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
    if (size < 0) continue;
    std::string value(reinterpret_cast<char*>(text), static_cast<size_t>(size));
    OPENSSL_free(text);
    if (nid == NID_commonName)
      out.common_name = std::move(value);
    else if (nid == NID_organizationName)
      out.organizations.push_back(std::move(value));
    else if (OBJ_cmp(X509_NAME_ENTRY_get_object(entry), user_uid_attribute()) == 0)
      out.uids.push_back(std::move(value));
  }
  return out;
}

// The names as OpenSSL's own objects, so that no value can be taken for syntax.
GENERAL_NAMES* alternative_names(const std::vector<std::string>& dns_names,
                                 const std::vector<std::string>& ip_addresses) {
  GENERAL_NAMES* names = sk_GENERAL_NAME_new_null();
  for (const std::string& dns : dns_names) {
    GENERAL_NAME* name = GENERAL_NAME_new();
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, dns.data(), static_cast<int>(dns.size()));
    GENERAL_NAME_set0_value(name, GEN_DNS, text);
    sk_GENERAL_NAME_push(names, name);
  }
  for (const std::string& ip : ip_addresses) {
    unsigned char raw[16];
    int size = inet_pton(AF_INET, ip.c_str(), raw) == 1 ? 4 : inet_pton(AF_INET6, ip.c_str(), raw) == 1 ? 16 : 0;
    if (size == 0) continue;
    GENERAL_NAME* name = GENERAL_NAME_new();
    ASN1_OCTET_STRING* bytes = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(bytes, raw, size);
    GENERAL_NAME_set0_value(name, GEN_IPADD, bytes);
    sk_GENERAL_NAME_push(names, name);
  }
  return names;
}

struct Names {
  std::vector<std::string> dns, ips, emails, uris;
  bool others = false;
};

Names read_names(GENERAL_NAMES* names) {
  Names out;
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    auto text = [](const ASN1_STRING* s) {
      return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)),
                         static_cast<size_t>(ASN1_STRING_length(s)));
    };
    switch (name->type) {
      case GEN_DNS:
        out.dns.push_back(text(name->d.dNSName));
        break;
      case GEN_EMAIL:
        out.emails.push_back(text(name->d.rfc822Name));
        break;
      case GEN_URI:
        out.uris.push_back(text(name->d.uniformResourceIdentifier));
        break;
      case GEN_IPADD: {
        char buffer[INET6_ADDRSTRLEN];
        int size = ASN1_STRING_length(name->d.iPAddress);
        if (size == 4 || size == 16)
          out.ips.emplace_back(inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(name->d.iPAddress),
                                         buffer, sizeof buffer));
        else
          out.others = true;
        break;
      }
      default:
        out.others = true;
        break;
    }
  }
  GENERAL_NAMES_free(names);
  return out;
}

void add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  if (X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value)) {
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
}

Ptr<X509> begin_certificate(EVP_PKEY* key, std::chrono::seconds lifetime) {
  Ptr<X509> certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  BIGNUM* serial = BN_new();
  BN_rand(serial, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY);
  BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate.get()));
  BN_free(serial);
  std::time_t present =
      std::chrono::system_clock::to_time_t(std::chrono::time_point_cast<std::chrono::system_clock::duration>(now()));
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()),
                present - std::min<std::chrono::seconds>(kBackdate, lifetime / 2).count());
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), present + lifetime.count());
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

Result<Ptr<X509>> read_certificate(std::string_view pem) {
  Ptr<X509> certificate(PEM_read_bio_X509(bio_over(pem).get(), nullptr, nullptr, nullptr));
  if (!certificate) return broken("not a PEM certificate");
  return certificate;
}

Ptr<X509> read_der(std::string_view der) {
  const auto* data = reinterpret_cast<const unsigned char*>(der.data());
  return Ptr<X509>(d2i_X509(nullptr, &data, static_cast<long>(der.size())));
}

Result<std::string> sign(const KeyPair& ca, EVP_PKEY* subject_key, const Template& wanted) {
  RD_TRY(Ptr<X509> issuer, read_certificate(ca.certificate_pem));
  RD_TRY(Ptr<EVP_PKEY> ca_key, read_key(ca.private_key_pem));
  if (X509_cmp_current_time(X509_get0_notAfter(issuer.get())) < 0) return broken("the authority has expired");
  Ptr<X509> certificate = begin_certificate(subject_key, wanted.lifetime);
  set_name(X509_get_subject_name(certificate.get()), wanted.subject);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer.get()));
  if (ASN1_TIME_compare(X509_get0_notAfter(certificate.get()), X509_get0_notAfter(issuer.get())) > 0) {
    X509_set1_notAfter(certificate.get(), X509_get0_notAfter(issuer.get()));
  }
  add_extension(certificate.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE");
  add_extension(certificate.get(), issuer.get(), NID_key_usage, "critical,digitalSignature,keyEncipherment");
  std::string usages;
  for (Usage usage : wanted.usages)
    usages += (usages.empty() ? "" : ",") + std::string(usage == Usage::ClientAuth ? "clientAuth" : "serverAuth");
  if (!usages.empty()) add_extension(certificate.get(), issuer.get(), NID_ext_key_usage, usages.c_str());
  add_extension(certificate.get(), issuer.get(), NID_authority_key_identifier, "keyid");
  if (!wanted.dns_names.empty() || !wanted.ip_addresses.empty()) {
    GENERAL_NAMES* names = alternative_names(wanted.dns_names, wanted.ip_addresses);
    X509_add1_ext_i2d(certificate.get(), NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT);
    GENERAL_NAMES_free(names);
  }
  if (X509_sign(certificate.get(), ca_key.get(), EVP_sha256()) == 0)
    return broken("signing failed: the authority's key does not work");
  return certificate_pem(certificate.get());
}

// A request with its key, whose signature is right and whose key is strong enough.
Result<std::pair<Ptr<X509_REQ>, Ptr<EVP_PKEY>>> open_request(std::string_view csr_pem) {
  Ptr<X509_REQ> request(PEM_read_bio_X509_REQ(bio_over(csr_pem).get(), nullptr, nullptr, nullptr));
  if (!request) return broken("PEM block type must be CERTIFICATE REQUEST");
  Ptr<EVP_PKEY> key(X509_REQ_get_pubkey(request.get()));
  if (!key || X509_REQ_verify(request.get(), key.get()) != 1)
    return broken("the certificate request's signature is wrong");
  if (EVP_PKEY_get_security_bits(key.get()) < kMinSecurityBits)
    return broken("the certificate request's key is too weak: RSA of 2048 bits, P-256 or better is needed");
  return std::pair(std::move(request), std::move(key));
}

Timestamp time_of(const ASN1_TIME* time) {
  std::tm parts{};
  ASN1_TIME_to_tm(time, &parts);
  return Timestamp(std::chrono::seconds(timegm(&parts)));
}

std::string digest_hex(const unsigned char* data, size_t size) {
  unsigned char digest[32];
  EVP_Digest(data, size, digest, nullptr, EVP_sha256(), nullptr);
  return hex_encode({reinterpret_cast<char*>(digest), sizeof digest});
}

Certificate describe(X509* certificate) {
  Certificate out;
  out.subject = name_of(X509_get_subject_name(certificate));
  Names names =
      read_names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  out.dns_names = std::move(names.dns);
  out.ip_addresses = std::move(names.ips);
  out.not_before = time_of(X509_get0_notBefore(certificate));
  out.not_after = time_of(X509_get0_notAfter(certificate));
  unsigned char* der = nullptr;
  int size = i2d_X509(certificate, &der);
  if (size > 0) out.fingerprint_sha256 = digest_hex(der, static_cast<size_t>(size));
  OPENSSL_free(der);
  der = nullptr;
  size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (size > 0) out.spki_hash = "sha256:" + digest_hex(der, static_cast<size_t>(size));
  OPENSSL_free(der);
  out.is_ca = X509_check_ca(certificate) == 1;
  return out;
}

class TrustBundleImpl : public TrustBundle {
 public:
  explicit TrustBundleImpl(Ptr<X509_STORE> store) : store_(std::move(store)) {}

  Result<Certificate> verify(std::span<const std::string> chain_der, Usage usage) const override {
    if (chain_der.empty()) return unauthorized("no certificate was presented");
    Ptr<X509> leaf = read_der(chain_der[0]);
    if (!leaf) return unauthorized("x509: malformed certificate");
    STACK_OF(X509)* rest = sk_X509_new_null();
    for (size_t i = 1; i < chain_der.size(); ++i) {
      if (Ptr<X509> next = read_der(chain_der[i])) sk_X509_push(rest, next.release());
    }
    Ptr<X509_STORE_CTX> context(X509_STORE_CTX_new());
    X509_STORE_CTX_init(context.get(), store_.get(), leaf.get(), rest);
    // An authority of the bundle is trusted whether or not another has signed it, as in Go.
    X509_STORE_CTX_set_flags(context.get(), X509_V_FLAG_PARTIAL_CHAIN);
    // No keys below 112 bits (RSA 2048), no SHA-1 signatures.
    X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(context.get()), kVerifyLevel);
    X509_STORE_CTX_set_default(context.get(), usage == Usage::ClientAuth ? "ssl_client" : "ssl_server");
    int ok = X509_verify_cert(context.get());
    int error = X509_STORE_CTX_get_error(context.get());
    sk_X509_pop_free(rest, X509_free);
    ERR_clear_error();
    if (ok == 1) {
      // OpenSSL lets a certificate without extended usages pass for all; here it must say that it may be used so.
      uint32_t bits = X509_get_extended_key_usage(leaf.get());
      uint32_t wanted = usage == Usage::ClientAuth ? XKU_SSL_CLIENT : XKU_SSL_SERVER;
      if (bits == UINT32_MAX || (bits & (wanted | XKU_ANYEKU)) == 0)
        return unauthorized("x509: certificate specifies an incompatible key usage");
      return describe(leaf.get());
    }
    switch (error) {
      case X509_V_ERR_CERT_HAS_EXPIRED:
      case X509_V_ERR_CERT_NOT_YET_VALID:
        return unauthorized("x509: certificate has expired or is not yet valid");
      case X509_V_ERR_INVALID_PURPOSE:
        return unauthorized("x509: certificate specifies an incompatible key usage");
      case X509_V_ERR_EE_KEY_TOO_SMALL:
      case X509_V_ERR_CA_KEY_TOO_SMALL:
        return unauthorized("x509: a key of the certificate's chain is too weak");
      case X509_V_ERR_CA_MD_TOO_WEAK:
        return unauthorized("x509: certificate is signed over a digest that is too weak");
      default:
        return unauthorized("x509: certificate signed by unknown authority");
    }
  }

 private:
  Ptr<X509_STORE> store_;
};

}  // namespace

std::string generate_key() {
  return key_pem(make_key().get());
}

Result<std::string> public_key_of(std::string_view private_key_pem) {
  RD_TRY(Ptr<EVP_PKEY> key, read_key(private_key_pem));
  auto bio = empty_bio();
  PEM_write_bio_PUBKEY(bio.get(), key.get());
  return text_of(bio.get());
}

Result<KeyPair> make_ca(const std::string& common_name, std::chrono::hours lifetime) {
  Ptr<EVP_PKEY> key = make_key();
  if (!key) return broken("can't make a key");
  Ptr<X509> certificate = begin_certificate(key.get(), lifetime);
  set_name(X509_get_subject_name(certificate.get()), Subject{common_name, {}});
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
  add_extension(certificate.get(), certificate.get(), NID_basic_constraints, "critical,CA:TRUE");
  add_extension(certificate.get(), certificate.get(), NID_key_usage, "critical,digitalSignature,keyCertSign,cRLSign");
  add_extension(certificate.get(), certificate.get(), NID_subject_key_identifier, "hash");
  if (X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) return broken("signing failed");
  return KeyPair{certificate_pem(certificate.get()), key_pem(key.get())};
}

Result<KeyPair> issue(const KeyPair& ca, const Template& wanted) {
  Ptr<EVP_PKEY> key = make_key();
  RD_TRY(std::string certificate, sign(ca, key.get(), wanted));
  return KeyPair{std::move(certificate), key_pem(key.get())};
}

Result<std::string> sign_request(const KeyPair& ca, std::string_view csr_pem, const Template& wanted) {
  RD_TRY(auto opened, open_request(csr_pem));
  return sign(ca, opened.second.get(), wanted);
}

Result<std::string> make_request(std::string_view private_key_pem, const Subject& subject,
                                 const std::vector<std::string>& dns_names,
                                 const std::vector<std::string>& ip_addresses) {
  RD_TRY(Ptr<EVP_PKEY> key, read_key(private_key_pem));
  Ptr<X509_REQ> request(X509_REQ_new());
  set_name(X509_REQ_get_subject_name(request.get()), subject);
  X509_REQ_set_pubkey(request.get(), key.get());
  if (!dns_names.empty() || !ip_addresses.empty()) {
    GENERAL_NAMES* names = alternative_names(dns_names, ip_addresses);
    STACK_OF(X509_EXTENSION)* extensions = nullptr;
    X509V3_add1_i2d(&extensions, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT);
    GENERAL_NAMES_free(names);
    X509_REQ_add_extensions(request.get(), extensions);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  }
  if (X509_REQ_sign(request.get(), key.get(), EVP_sha256()) == 0) return broken("signing the request failed");
  auto bio = empty_bio();
  PEM_write_bio_X509_REQ(bio.get(), request.get());
  return text_of(bio.get());
}

Result<Request> parse_request(std::string_view csr_pem) {
  RD_TRY(auto opened, open_request(csr_pem));
  auto& [request, key] = opened;
  Request out;
  out.subject = name_of(X509_REQ_get_subject_name(request.get()));
  STACK_OF(X509_EXTENSION)* extensions = X509_REQ_get_extensions(request.get());
  Names names =
      read_names(static_cast<GENERAL_NAMES*>(X509V3_get_d2i(extensions, NID_subject_alt_name, nullptr, nullptr)));
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  out.dns_names = std::move(names.dns);
  out.ip_addresses = std::move(names.ips);
  out.emails = std::move(names.emails);
  out.uris = std::move(names.uris);
  const X509_NAME* subject = X509_REQ_get_subject_name(request.get());
  out.other_names = names.others ||
                    X509_NAME_entry_count(subject) !=
                        static_cast<int>(out.subject.organizations.size()) + (out.subject.common_name.empty() ? 0 : 1);
  return out;
}

Result<Certificate> parse_certificate(std::string_view pem) {
  RD_TRY(Ptr<X509> certificate, read_certificate(pem));
  return describe(certificate.get());
}

std::vector<Certificate> parse_certificates(std::string_view pem) {
  std::vector<Certificate> out;
  auto bio = bio_over(pem);
  while (Ptr<X509> certificate{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)})
    out.push_back(describe(certificate.get()));
  ERR_clear_error();
  return out;
}

Result<Certificate> parse_certificate_der(std::string_view der) {
  Ptr<X509> certificate = read_der(der);
  if (!certificate) return broken("not a DER certificate");
  return describe(certificate.get());
}

bool belongs_together(const KeyPair& pair) {
  auto certificate = read_certificate(pair.certificate_pem);
  auto key = read_key(pair.private_key_pem);
  bool same = certificate && key && X509_check_private_key(certificate->get(), key->get()) == 1;
  ERR_clear_error();
  return same;
}

bool is_signed_by(std::string_view certificate_pem, std::string_view ca_pem) {
  auto certificate = read_certificate(certificate_pem), ca = read_certificate(ca_pem);
  if (!certificate || !ca) return false;
  Ptr<EVP_PKEY> key(X509_get_pubkey(ca->get()));
  bool right = key && X509_NAME_cmp(X509_get_issuer_name(certificate->get()), X509_get_subject_name(ca->get())) == 0 &&
               X509_verify(certificate->get(), key.get()) == 1;
  ERR_clear_error();
  return right;
}

Result<std::shared_ptr<const TrustBundle>> TrustBundle::from_pem(std::string_view pem) {
  Ptr<X509_STORE> store(X509_STORE_new());
  auto bio = bio_over(pem);
  int count = 0;
  while (Ptr<X509> certificate{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    X509_STORE_add_cert(store.get(), certificate.get());
    ++count;
  }
  ERR_clear_error();
  if (count == 0) return bad_request("the CA bundle holds no PEM certificate");
  return std::make_shared<const TrustBundleImpl>(std::move(store));
}

}  // namespace redoubt::pki
