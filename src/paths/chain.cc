#include "paths/chain.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>

#include "pki/certificate.h"

namespace redoubt::paths {

namespace {

std::string common_name(const X509_NAME* name) {
  char text[256] = "";
  return X509_NAME_get_text_by_NID(const_cast<X509_NAME*>(name), NID_commonName, text, sizeof text) > 0 ? text : "";
}

using X509Ptr = std::unique_ptr<X509, decltype(&X509_free)>;

X509Ptr parse(const std::string& der) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  return {d2i_X509(nullptr, &bytes, static_cast<long>(der.size())), X509_free};
}

// Why the chain is not good for a server now; empty: it is. As TLS clients verify: a certificate without extended key
// usage is good for every use.
std::string verify(const std::vector<std::string>& chain_der, const std::string& ca_pem) {
  std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> store(X509_STORE_new(), X509_STORE_free);
  std::unique_ptr<BIO, decltype(&BIO_free_all)> text(BIO_new_mem_buf(ca_pem.data(), static_cast<int>(ca_pem.size())),
                                                     BIO_free_all);
  while (X509* ca = PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr)) {
    X509_STORE_add_cert(store.get(), ca);
    X509_free(ca);
  }
  ERR_clear_error();  // the end of the text
  std::vector<X509Ptr> keep;
  std::unique_ptr<STACK_OF(X509), void (*)(STACK_OF(X509)*)> others(sk_X509_new_null(),
                                                                    [](STACK_OF(X509) * s) { sk_X509_free(s); });
  for (const std::string& der : chain_der) {
    keep.push_back(parse(der));
    if (keep.back() && keep.size() > 1) sk_X509_push(others.get(), keep.back().get());
  }
  if (!keep.front()) return "the certificate can't be read";
  std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> context(X509_STORE_CTX_new(), X509_STORE_CTX_free);
  X509_STORE_CTX_init(context.get(), store.get(), keep.front().get(), others.get());
  X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_SERVER);
  X509_STORE_CTX_set_flags(context.get(), X509_V_FLAG_PARTIAL_CHAIN);
  if (X509_verify_cert(context.get()) == 1) return {};
  int error = X509_STORE_CTX_get_error(context.get());
  if (error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID)
    return "x509: certificate has expired or is not yet valid";
  if (error == X509_V_ERR_INVALID_PURPOSE) return "x509: certificate specifies an incompatible key usage";
  return "x509: certificate signed by unknown authority";
}

}  // namespace

bool ChainFacts::names_host(std::string_view host) const {
  return std::ranges::any_of(names, [&](const std::string& name) {
    if (name == host) return true;
    // One label for the star, as RFC 6125 has it.
    size_t dot = host.find('.');
    return name.starts_with("*.") && dot != std::string_view::npos &&
           host.substr(dot) == std::string_view(name).substr(1);
  });
}

ChainFacts judge_chain(const std::vector<std::string>& chain_der, const std::string& ca_pem, Timestamp at) {
  ChainFacts out;
  if (chain_der.empty()) {
    out.problem = "no certificate was shown";
    return out;
  }
  auto leaf = pki::parse_certificate_der(chain_der.front());
  if (!leaf) {
    out.problem = leaf.error().message();
    return out;
  }
  out.subject = leaf->subject.common_name;
  out.names = leaf->dns_names;
  out.names.insert(out.names.end(), leaf->ip_addresses.begin(), leaf->ip_addresses.end());
  out.days_left = std::chrono::duration_cast<std::chrono::hours>(leaf->not_after - at).count() / 24;

  X509Ptr parsed = parse(chain_der.front());
  if (parsed) {
    std::string issuer = common_name(X509_get_issuer_name(parsed.get()));
    out.authority = issuer;
    // A kubelet that signs its own makes an authority NAME-ca@TIME first.
    size_t at_sign = issuer.find("-ca@");
    out.self_signed = X509_NAME_cmp(X509_get_issuer_name(parsed.get()), X509_get_subject_name(parsed.get())) == 0 ||
                      (at_sign != std::string::npos && out.subject.starts_with(issuer.substr(0, at_sign) + "@"));
  }
  if (ca_pem.empty()) {
    out.problem = "there is no authority to check it against";
    return out;
  }
  out.problem = verify(chain_der, ca_pem);
  out.verified = out.problem.empty();
  return out;
}

}  // namespace redoubt::paths
