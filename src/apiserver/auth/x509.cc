#include "apiserver/auth/x509.h"

namespace redoubt::apiserver {

namespace {

// What a connection's certificates proved, by whose authorities. Two at most: clients' and front proxies'.
struct Verified {
  const pki::TrustBundle* authorities;
  uint64_t generation;  // of what was trusted then
  Result<std::shared_ptr<const pki::Certificate>> leaf;
  std::shared_ptr<const Verified> next;
};

}  // namespace

Result<std::shared_ptr<const pki::Certificate>> CertificateVerifier::verify(
    const net::ConnectionInfo& connection) const {
  auto known = std::static_pointer_cast<const Verified>(connection.authentication_cache);
  const Verified* found = nullptr;
  for (const Verified* v = known.get(); v != nullptr && found == nullptr; v = v->next.get()) {
    if (v->authorities == authorities_.get()) found = v;
  }
  uint64_t generation = authorities_->generation();
  if (found != nullptr && found->generation != generation) {
    // Authorities came or went: everything is verified anew.
    known.reset();
    found = nullptr;
  }
  if (found == nullptr) {
    Result<std::shared_ptr<const pki::Certificate>> leaf = nullptr;
    if (auto certificate = authorities_->verify(connection.peer_certificates, pki::Usage::ClientAuth)) {
      leaf = std::make_shared<const pki::Certificate>(std::move(*certificate));
    } else {
      leaf = Error(certificate.error());
    }
    auto made = std::make_shared<const Verified>(authorities_.get(), generation, std::move(leaf), known);
    connection.authentication_cache = made;
    found = made.get();
  }
  if (found->leaf && (*found->leaf)->not_after < now())
    return unauthorized("x509: certificate has expired or is not yet valid");
  return found->leaf;
}

Attempt CertificateAuthenticator::authenticate(const net::ConnectionInfo& connection) const {
  if (connection.peer_certificates.empty()) return {};
  auto leaf = verifier_.verify(connection);
  if (!leaf) return Error(leaf.error());
  const pki::Subject& subject = (*leaf)->subject;
  if (subject.common_name.empty()) return unauthorized("the client certificate has no common name");
  if (subject.uids.size() > 1)
    return unauthorized("x509: the client certificate's subject holds more than one uid (1.3.6.1.4.1.57683.2)");
  if (!subject.uids.empty() && subject.uids.front().empty())
    return unauthorized("x509: the client certificate's uid (1.3.6.1.4.1.57683.2) is empty");
  Authentication out;
  out.user.name = subject.common_name;
  if (!subject.uids.empty()) out.user.uid = subject.uids.front();
  out.user.groups = subject.organizations;
  out.user.extra[std::string(kCredentialId)] = {"X509SHA256=" + (*leaf)->fingerprint_sha256};
  return out;
}

}  // namespace redoubt::apiserver
