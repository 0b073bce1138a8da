// Aggregated ClusterRoles: the rules of a role with an aggregationRule are those of the roles whose labels it selects.
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles
#include <algorithm>

#include "controllers/controllers.h"
#include "controllers/run_all.h"
#include "schema/k8s/rbac_v1.h"

namespace redoubt::controllers {

namespace {

namespace rbac = k8s::rbac::v1;
using client::WorkQueue;

class ClusterRoleAggregation : public Controller {
 public:
  explicit ClusterRoleAggregation(client::Client& api)
      : api_(api), roles_(api), queue_(api.executor(), "cluster-role-aggregation", [this](std::string key) {
          return reconcile(std::move(key));
        }) {
    // A role that comes, goes or changes may count for any aggregated one; there are a handful.
    roles_.on_change([this](const auto&, const auto&) {
      for (const auto& [name, role] : roles_.objects()) {
        if (role->aggregationRule) queue_.add(name);
      }
    });
  }

  Task<void> run() override { return run_all(api_.executor(), "cluster-role-aggregation", roles_.run(), queue_.run()); }

 private:
  static bool is_selected(const rbac::AggregationRule& rule, const rbac::ClusterRole& role) {
    return std::any_of(rule.clusterRoleSelectors.begin(), rule.clusterRoleSelectors.end(),
                       [&](const meta::LabelSelector& selector) { return matches(selector, role.metadata.labels); });
  }

  Task<Result<WorkQueue::Outcome>> reconcile(std::string name) {
    co_await roles_.wait_synced();
    auto role = roles_.get("", name);
    if (!role || !role->aggregationRule || is_deleting(role->metadata)) co_return WorkQueue::Outcome{};
    std::vector<std::shared_ptr<const rbac::ClusterRole>> sources;
    // In the order of their names, so that equal sums are equal bytes.
    for (const auto& [other_name, other] : roles_.objects()) {
      if (other_name != name && is_selected(*role->aggregationRule, *other)) sources.push_back(other);
    }
    std::vector<rbac::PolicyRule> rules;
    for (const auto& source : sources) {
      for (const rbac::PolicyRule& rule : source->rules) {
        bool known = std::any_of(rules.begin(), rules.end(), [&](const auto& r) { return schema::equal(r, rule); });
        if (!known) rules.push_back(rule);
      }
    }
    if (std::equal(rules.begin(), rules.end(), role->rules.begin(), role->rules.end(),
                   [](const auto& a, const auto& b) { return schema::equal(a, b); }))
      co_return WorkQueue::Outcome{};
    rbac::ClusterRole changed = *role;
    changed.rules = std::move(rules);
    auto written = co_await api_.update(std::move(changed));
    // Somebody was faster: their change comes by the watch.
    if (!written && !written.error().is("Conflict") && !written.error().is("NotFound"))
      co_return Error(written.error());
    co_return WorkQueue::Outcome{};
  }

  client::Client& api_;
  client::Informer<rbac::ClusterRole> roles_;
  WorkQueue queue_;
};

}  // namespace

std::unique_ptr<Controller> make_cluster_role_aggregation(client::Client& api) {
  return std::make_unique<ClusterRoleAggregation>(api);
}

}  // namespace redoubt::controllers
