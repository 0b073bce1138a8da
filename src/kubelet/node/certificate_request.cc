#include "kubelet/node/certificate_request.h"

#include "base/log.h"
#include "schema/k8s/certificates_v1.h"

namespace redoubt::kubelet {

namespace {

using Csr = k8s::certificates::v1::CertificateSigningRequest;

// Often while an answer is near, so that a certificate of a minute's life is not spent on waiting; seldom for a person.
constexpr std::chrono::milliseconds kFirstLook{20}, kNearLook{500}, kSlowestLook{5000};
constexpr std::chrono::seconds kNear{30};
// Waiting longer than this is worth a line in the log.
constexpr std::chrono::seconds kSoon{3};

}  // namespace

Task<Result<pki::KeyPair>> request_certificate(client::Client& api, CertificateWish wish,
                                               std::chrono::seconds patience) {
  pki::KeyPair out;
  out.private_key_pem = pki::generate_key();
  Csr csr;
  csr.metadata.generateName = "csr-";
  RD_CO_TRY(csr.spec.request.bytes,
            pki::make_request(out.private_key_pem, wish.subject, wish.dns_names, wish.ip_addresses));
  csr.spec.signerName = wish.signer;
  csr.spec.usages = wish.usages;
  RD_CO_TRY(Csr made, co_await api.create(std::move(csr)));
  std::string name = made.metadata.name;
  auto began = std::chrono::steady_clock::now();
  auto delay = kFirstLook;
  bool told = false;
  while (true) {
    co_await sleep_for(delay);
    delay = std::min(delay * 2, std::chrono::steady_clock::now() - began < kNear ? kNearLook : kSlowestLook);
    auto there = co_await api.get<Csr>("", name);
    if (there && there->metadata.uid != made.metadata.uid)
      co_return not_found({"certificates.k8s.io", "certificatesigningrequests"}, name);
    // A server that is away for a while changes nothing; a request that is gone will never be answered.
    if (!there && (there.error().is("NotFound") || there.error().code() == 401 || there.error().code() == 403))
      co_return Error(there.error());
    if (there && !there->status.certificate.bytes.empty()) {
      out.certificate_pem = there->status.certificate.bytes;
      if (!pki::belongs_together(out))
        co_return internal_error(fmt::format("the certificate given for request {} is not of its key", name));
      co_return out;
    }
    if (there) {
      for (const auto& condition : there->status.conditions) {
        if (condition.type == "Denied" || condition.type == "Failed")
          co_return forbidden({"certificates.k8s.io", "certificatesigningrequests"}, name,
                              fmt::format("{}: {}", condition.type == "Denied" ? "denied" : "failed",
                                          condition.message.empty() ? condition.reason : condition.message));
      }
    }
    auto waited = std::chrono::steady_clock::now() - began;
    if (!told && waited > kSoon) {
      log_warning("a certificate request waits for approval; `kubectl describe csr` says why",
                  {{"request", name}, {"signer", wish.signer}});
      told = true;
    }
    if (patience.count() > 0 && waited > patience)
      co_return timeout(
          fmt::format("certificate request {} was not approved within {} seconds: `kubectl describe csr {}` says why",
                      name, patience.count(), name));
  }
}

}  // namespace redoubt::kubelet
