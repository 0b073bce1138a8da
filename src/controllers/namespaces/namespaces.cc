#include <algorithm>

#include "base/log.h"
#include "client/discovery.h"
#include "controllers/controllers.h"
#include "controllers/namespaces/deletion.h"

namespace redoubt::controllers {

namespace {

constexpr const char* kFinalizer = "kubernetes";
constexpr size_t kWorkers = 4;

class NamespaceController : public Controller {
 public:
  NamespaceController(client::Client& api, Informers& informers)
      : api_(api),
        informers_(informers),
        queue_(api.executor(), "namespace", [this](std::string key) { return reconcile(std::move(key)); }, kWorkers) {
    informers.namespaces.on_change([this](const auto&, const auto& after) {
      if (after && is_deleting(after->metadata)) queue_.add(after->metadata.name);
    });
    // Pods are what takes long: look again as soon as one is gone.
    informers.pods.on_change([this](const auto& before, const auto& after) {
      if (after) return;
      auto ns = informers_.namespaces.get("", before->metadata.namespace_);
      if (ns && is_deleting(ns->metadata)) queue_.add(ns->metadata.name);
    });
  }
  Task<void> run() override { co_await queue_.run(); }

 private:
  Task<Result<client::WorkQueue::Outcome>> reconcile(std::string name) {
    client::WorkQueue::Outcome done;
    // Asked of the server: the informer may not have seen the last write, and nothing may be deleted by mistake.
    auto live = co_await api_.get<core::Namespace>("", name);
    if (!live && live.error().is("NotFound")) co_return done;
    if (!live) co_return Error(live.error());
    core::Namespace ns = std::move(*live);
    if (!is_deleting(ns.metadata)) co_return done;
    if (ns.status.phase != "Terminating") {
      ns.status.phase = "Terminating";
      RD_CO_TRY(ns, co_await api_.update_status(std::move(ns)));
    }
    auto& finalizers = ns.spec.finalizers;
    if (std::find(finalizers.begin(), finalizers.end(), kFinalizer) == finalizers.end()) co_return done;
    RD_CO_TRY(ContentReport report, co_await delete_content(name));
    if (merge_conditions(ns.status, deletion_conditions(report)) && !report.empty()) {
      RD_CO_TRY(ns, co_await api_.update_status(std::move(ns)));
    }
    if (!report.empty()) {
      if (!report.failures.empty() || !report.undiscovered.empty()) {
        co_return service_unavailable(
            fmt::format("namespace {} can't be emptied yet: {}", name,
                        report.failures.empty() ? "some API groups do not answer" : report.failures.front()));
      }
      done.again_after = std::chrono::seconds(look_again_seconds(report));
      co_return done;
    }
    std::erase(ns.spec.finalizers, kFinalizer);
    auto written = co_await api_.update(std::move(ns), "finalize");
    if (!written && !written.error().is("NotFound")) co_return Error(written.error());
    log_info("namespace emptied", {{"namespace", name}});
    co_return done;
  }

  Task<Result<ContentReport>> delete_content(std::string ns) {
    ContentReport report;
    RD_CO_TRY(client::Discovered found, co_await client::discover(api_));
    report.undiscovered = found.failed;
    std::erase_if(found.resources, [](const auto& r) { return !r.namespaced || !r.can("delete") || !r.can("list"); });
    // Pods first, and nothing else until they are gone: what they use (NetworkPolicies, Secrets) outlives them.
    auto pods = std::find_if(found.resources.begin(), found.resources.end(),
                             [](const auto& r) { return r.group.empty() && r.name == "pods"; });
    if (pods != found.resources.end()) {
      co_await delete_all_of(*pods, ns, report);
      if (!report.remaining.empty() || !report.failures.empty()) co_return report;
    }
    for (const client::ApiResource& resource : found.resources) co_await delete_all_of(resource, ns, report);
    co_return report;
  }

  Task<void> delete_all_of(const client::ApiResource& resource, std::string ns, ContentReport& report) {
    schema::Resource row = resource.row();
    auto fail = [&](const Status& status) {
      report.failures.push_back(fmt::format("{}: {}", resource.group_resource(), status.message()));
    };
    std::vector<meta::ObjectMeta> left;
    if (auto listed = co_await list(row, ns, left); !listed) co_return fail(listed.error());
    if (left.empty()) co_return;
    bool undeleted = std::any_of(left.begin(), left.end(), [](const auto& m) { return !is_deleting(m); });
    if (undeleted && resource.can("deletecollection")) {
      auto deleted = co_await api_.remove_collection(row, ns, {.propagation_policy = "Background"});
      if (!deleted && !deleted.error().is("NotFound")) fail(deleted.error());
    } else if (undeleted) {
      for (const meta::ObjectMeta& m : left) {
        auto deleted = co_await api_.remove_raw(row, ns, m.name, {.propagation_policy = "Background", .uid = m.uid});
        if (!deleted && !deleted.error().is("NotFound")) fail(deleted.error());
      }
    }
    if (undeleted) {
      if (auto listed = co_await list(row, ns, left); !listed) co_return fail(listed.error());
      if (left.empty()) co_return;
    }
    report.remaining[fmt::format("{}.{}", resource.name, resource.group)] = static_cast<int64_t>(left.size());
    for (const meta::ObjectMeta& m : left) {
      for (const std::string& finalizer : m.finalizers) ++report.finalizers[finalizer];
      report.longest_grace_seconds = std::max(report.longest_grace_seconds, m.deletionGracePeriodSeconds.value_or(0));
    }
  }

  Task<Result<void>> list(const schema::Resource& row, std::string ns, std::vector<meta::ObjectMeta>& into) {
    into.clear();
    std::string version;
    auto listed = co_await api_.list_raw(
        row, std::move(ns), {.metadata_only = true}, version, [&into](const schema::Value& item) -> Result<void> {
          RD_TRY(auto metadata, schema::from_value<meta::ObjectMeta>(item.get({"metadata"})));
          into.push_back(std::move(metadata));
          return {};
        });
    if (!listed && listed.error().is("NotFound")) co_return Result<void>{};  // the resource has gone
    co_return listed;
  }

  client::Client& api_;
  Informers& informers_;
  client::WorkQueue queue_;
};

}  // namespace

std::unique_ptr<Controller> make_namespaces(client::Client& api, Informers& informers) {
  return std::make_unique<NamespaceController>(api, informers);
}

}  // namespace redoubt::controllers
