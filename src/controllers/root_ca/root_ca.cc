#include "controllers/controllers.h"
#include "controllers/run_all.h"

namespace redoubt::controllers {

namespace {

constexpr const char* kName = "kube-root-ca.crt";

class RootCaController : public Publisher<std::string> {
 public:
  RootCaController(client::Client& api, Informers& informers, std::string ca_pem)
      : api_(api),
        informers_(informers),
        ca_pem_(std::move(ca_pem)),
        config_maps_(informers.reader, "",
                     client::ListOptions{.field_selector = std::string("metadata.name=") + kName}),
        queue_(api.executor(), "root-ca", [this](std::string key) { return reconcile(std::move(key)); }) {
    informers.namespaces.on_change([this](const auto&, const auto& after) {
      if (after) queue_.add(after->metadata.name);
    });
    config_maps_.on_change(
        [this](const auto& before, const auto& after) { queue_.add((after ? after : before)->metadata.namespace_); });
  }
  Task<void> run() override { co_await run_all(api_.executor(), "root-ca", config_maps_.run(), queue_.run()); }

  void replace(std::string ca_pem) override {
    if (ca_pem == ca_pem_) return;
    ca_pem_ = std::move(ca_pem);
    for (const auto& [name, space] : informers_.namespaces.objects()) queue_.add(name);
  }

 private:
  Task<Result<client::WorkQueue::Outcome>> reconcile(std::string ns) {
    co_await config_maps_.wait_synced();
    auto space = informers_.namespaces.get("", ns);
    if (!space || space->status.phase == "Terminating") co_return client::WorkQueue::Outcome{};
    auto there = config_maps_.get(ns, kName);
    std::map<std::string, std::string> wanted{{"ca.crt", ca_pem_}};
    if (there && there->data == wanted) co_return client::WorkQueue::Outcome{};
    core::ConfigMap map;
    if (there) map = *there;
    map.metadata.name = kName;
    map.metadata.namespace_ = ns;
    map.metadata.annotations["kubernetes.io/description"] =
        "The CA bundle that verifies the API server from inside the cluster; kept up to date, do not edit.";
    map.data = std::move(wanted);
    auto written = there ? co_await api_.update(std::move(map)) : co_await api_.create(std::move(map));
    if (!written && written.error().code() != 403 && !written.error().is("AlreadyExists"))
      co_return Error(written.error());
    co_return client::WorkQueue::Outcome{};
  }
  client::Client& api_;
  Informers& informers_;
  std::string ca_pem_;
  client::Informer<core::ConfigMap> config_maps_;
  client::WorkQueue queue_;
};

}  // namespace

std::unique_ptr<Publisher<std::string>> make_root_ca(client::Client& api, Informers& informers, std::string ca_pem) {
  return std::make_unique<RootCaController>(api, informers, std::move(ca_pem));
}

}  // namespace redoubt::controllers
