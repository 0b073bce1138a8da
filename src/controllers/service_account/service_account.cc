#include "controllers/controllers.h"

namespace redoubt::controllers {

namespace {

class ServiceAccountController : public Controller {
 public:
  ServiceAccountController(client::Client& api, Informers& informers)
      : api_(api),
        informers_(informers),
        queue_(api.executor(), "serviceaccount", [this](std::string key) { return reconcile(std::move(key)); }) {
    informers.namespaces.on_change([this](const auto&, const auto& after) {
      if (after) queue_.add(after->metadata.name);
    });
    informers.service_accounts.on_change([this](const auto& before, const auto& after) {
      if (!after && before->metadata.name == "default") queue_.add(before->metadata.namespace_);
    });
  }
  Task<void> run() override { co_await queue_.run(); }

 private:
  Task<Result<client::WorkQueue::Outcome>> reconcile(std::string ns) {
    co_await informers_.service_accounts.wait_synced();
    auto there = informers_.namespaces.get("", ns);
    if (!there || there->status.phase == "Terminating" || informers_.service_accounts.get(ns, "default"))
      co_return client::WorkQueue::Outcome{};
    core::ServiceAccount account;
    account.metadata.name = "default";
    account.metadata.namespace_ = ns;
    auto made = co_await api_.create(std::move(account));
    if (!made && !made.error().is("AlreadyExists") && made.error().code() != 403) co_return Error(made.error());
    co_return client::WorkQueue::Outcome{};
  }
  client::Client& api_;
  Informers& informers_;
  client::WorkQueue queue_;
};

}  // namespace

std::unique_ptr<Controller> make_service_account(client::Client& api, Informers& informers) {
  return std::make_unique<ServiceAccountController>(api, informers);
}

}  // namespace redoubt::controllers
