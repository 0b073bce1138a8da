// csrcleaner: certificate requests that are over go away, after upstream's times.
#include "controllers/certificates/cleaner.h"

#include "base/log.h"
#include "controllers/controllers.h"

namespace redoubt::controllers {

namespace {

constexpr std::chrono::hours kIssuedStays{1}, kDeniedStays{1}, kPendingStays{24};
constexpr std::chrono::minutes kEvery{10};

}  // namespace

bool is_over(const Csr& csr, Timestamp present) {
  auto older = [&](const schema::Time& since, std::chrono::hours than) { return present - since.at > than; };
  schema::Time created = csr.metadata.creationTimestamp;
  auto past = [&](std::string_view type, std::chrono::hours than) {
    const auto* condition = find_condition(csr, type);
    return condition != nullptr &&
           older(condition->lastUpdateTime.is_zero() ? created : condition->lastUpdateTime, than);
  };
  if (past("Denied", kDeniedStays) || past("Failed", kDeniedStays)) return true;
  // Issued an hour ago, or approved and never signed: who asked has it, or asks anew.
  if (past("Approved", kIssuedStays)) return true;
  if (csr.status.conditions.empty() && older(created, kPendingStays)) return true;
  if (!csr.status.certificate.bytes.empty()) {
    auto certificate = pki::parse_certificate(csr.status.certificate.bytes);
    if (certificate && certificate->not_after < present) return true;
  }
  return false;
}

namespace {

class Cleaner : public Controller {
 public:
  Cleaner(client::Client& api, Informers& informers) : api_(api), informers_(informers) {}
  Task<void> run() override {
    co_await informers_.requests.wait_synced();
    while (true) {
      // Names first: the informer's map may change while we wait.
      std::vector<std::pair<std::string, std::string>> over;
      for (const auto& [name, csr] : informers_.requests.objects()) {
        if (is_over(*csr, now())) over.emplace_back(name, csr->metadata.uid);
      }
      for (auto& [name, uid] : over) {
        client::DeleteOptions options;
        options.uid = uid;
        auto gone = co_await api_.remove<Csr>("", name, options);
        if (!gone && !gone.error().is("NotFound"))
          log_warning("a certificate request that is over stays",
                      {{"request", name}, {"error", gone.error().message()}});
      }
      co_await sleep_for(kEvery);
    }
  }

 private:
  client::Client& api_;
  Informers& informers_;
};

}  // namespace

std::unique_ptr<Controller> make_certificate_cleaner(client::Client& api, Informers& informers) {
  return std::make_unique<Cleaner>(api, informers);
}

}  // namespace redoubt::controllers
