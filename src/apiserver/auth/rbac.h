// RBAC's state compiled for look-ups; immutable.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/auth/authorizer.h"

namespace redoubt::apiserver {

using PolicyRules = std::vector<k8s::rbac::v1::PolicyRule>;

class RbacIndex {
 public:
  RbacIndex(store::SnapshotPtr roles, store::SnapshotPtr cluster_roles, store::SnapshotPtr role_bindings,
            store::SnapshotPtr cluster_role_bindings);
  bool same_state(const store::SnapshotPtr& roles, const store::SnapshotPtr& cluster_roles,
                  const store::SnapshotPtr& role_bindings, const store::SnapshotPtr& cluster_role_bindings) const;
  // Calls `each` with the rules of every binding of the user that counts in `ns`, until it gives true.
  bool visit(const UserInfo& user, std::string_view ns,
             const std::function<bool(const PolicyRules&, const std::string& binding)>& each) const;
  const PolicyRules* role(std::string_view kind, std::string_view name, std::string_view ns) const;

 private:
  struct Binding {
    std::string name;
    std::string role_kind, role_name, namespace_;
  };
  store::SnapshotPtr roles_, cluster_roles_, role_bindings_, cluster_role_bindings_;
  std::map<std::string, PolicyRules, std::less<>> rules_;                   // "name" or "namespace/name"
  std::map<std::string, std::vector<Binding>, std::less<>> by_subject_;     // "u:NAME" or "g:NAME", cluster-wide
  std::map<std::string, std::vector<Binding>, std::less<>> by_ns_subject_;  // "NS u:NAME"
};

bool rule_allows(const k8s::rbac::v1::PolicyRule& rule, const Attributes& attributes);
// True when `owned` together allow everything that `rule` allows.
bool covers(const PolicyRules& owned, const k8s::rbac::v1::PolicyRule& rule);

}  // namespace redoubt::apiserver
