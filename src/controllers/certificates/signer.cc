// csrsigning: signs approved requests of the three kubernetes.io signers, each no further than its name says. Serving
// certificates of kubelets come from their own authority, whom no client of the API server trusts.
#include "base/log.h"
#include "controllers/certificates/conditions.h"
#include "controllers/certificates/rules.h"
#include "controllers/controllers.h"

namespace redoubt::controllers {

namespace {

// Less would end before it can be renewed.
constexpr std::chrono::minutes kShortest{10};

class Signer : public Controller {
 public:
  Signer(client::Client& api, Informers& informers, std::function<SigningAuthorities()> authorities,
         std::chrono::seconds duration)
      : api_(api),
        informers_(informers),
        authorities_(std::move(authorities)),
        duration_(duration),
        queue_(api.executor(), "csr-signer", [this](std::string key) { return reconcile(std::move(key)); }) {
    informers.requests.on_change([this](const auto&, const auto& after) {
      if (after && find_condition(*after, "Approved")) queue_.add(after->metadata.name);
    });
  }
  Task<void> run() override { co_await queue_.run(); }

 private:
  Task<Result<client::WorkQueue::Outcome>> reconcile(std::string name) {
    auto there = informers_.requests.get("", name);
    if (!there || !there->status.certificate.bytes.empty() || !find_condition(*there, "Approved") ||
        find_condition(*there, "Denied") || find_condition(*there, "Failed"))
      co_return client::WorkQueue::Outcome{};
    Csr csr = *there;
    const std::string& signer = csr.spec.signerName;
    if (signer != kClientSigner && signer != kClientKubeletSigner && signer != kServingSigner)
      co_return client::WorkQueue::Outcome{};
    auto request = pki::parse_request(csr.spec.request.bytes);
    // What approval checked holds for what a person approved, too.
    std::string failure = request ? misfit(signer, *request, csr.spec.usages) : request.error().message();
    if (failure.empty() && signer == kServingSigner && csr.spec.username != request->subject.common_name)
      failure = "a node may ask for its own serving certificate only";
    if (!failure.empty()) {
      log_warning("an approved certificate request can't be signed", {{"request", name}, {"why", failure}});
      add_condition(csr, "Failed", "SignerValidationFailure", std::move(failure));
    } else {
      bool serving = signer == kServingSigner;
      SigningAuthorities all = authorities_();
      const pki::KeyPair& authority = serving                          ? all.kubelet_serving
                                      : signer == kClientKubeletSigner ? all.kubelet_client
                                                                       : all.client;
      pki::Template wanted;
      wanted.subject = request->subject;
      wanted.dns_names = request->dns_names;
      wanted.ip_addresses = request->ip_addresses;
      wanted.usages = {serving ? pki::Usage::ServerAuth : pki::Usage::ClientAuth};
      wanted.lifetime = duration_;
      if (csr.spec.expirationSeconds) {
        std::chrono::seconds asked(*csr.spec.expirationSeconds);
        wanted.lifetime = std::min(duration_, std::max<std::chrono::seconds>(asked, kShortest));
      }
      RD_CO_TRY(csr.status.certificate.bytes, pki::sign_request(authority, csr.spec.request.bytes, wanted));
    }
    RD_CO_TRYV(co_await api_.update_status(std::move(csr)));
    co_return client::WorkQueue::Outcome{};
  }

  client::Client& api_;
  Informers& informers_;
  std::function<SigningAuthorities()> authorities_;
  std::chrono::seconds duration_;
  client::WorkQueue queue_;
};

}  // namespace

std::unique_ptr<Controller> make_certificate_signer(client::Client& api, Informers& informers,
                                                    std::function<SigningAuthorities()> authorities,
                                                    std::chrono::seconds duration) {
  return std::make_unique<Signer>(api, informers, std::move(authorities), duration);
}

}  // namespace redoubt::controllers
