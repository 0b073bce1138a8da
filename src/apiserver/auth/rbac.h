// RBAC's state compiled for look-ups; immutable.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/auth/authorizer.h"

namespace redoubt::apiserver {

using PolicyRules = std::vector<k8s::rbac::v1::PolicyRule>;

// A binding of one subject to one role.
struct RbacBinding {
  std::string text;  // `ClusterRoleBinding "b" of ClusterRole "r" to User "u"`
  std::string role_kind, role_name, namespace_;
};

class RbacIndex {
 public:
  // `before` (may be null) lends what was parsed of objects that have not changed since.
  RbacIndex(store::SnapshotPtr roles, store::SnapshotPtr cluster_roles, store::SnapshotPtr role_bindings,
            store::SnapshotPtr cluster_role_bindings, const RbacIndex* before = nullptr);
  bool same_state(const store::SnapshotPtr& roles, const store::SnapshotPtr& cluster_roles,
                  const store::SnapshotPtr& role_bindings, const store::SnapshotPtr& cluster_role_bindings) const;
  // Calls `each` with the rules of every binding of the user that counts in `ns`, until it gives true.
  bool visit(const UserInfo& user, std::string_view ns,
             const std::function<bool(const PolicyRules&, const RbacBinding&)>& each) const;
  const PolicyRules* role(std::string_view kind, std::string_view name, std::string_view ns) const;

 private:
  // One object as parsed, with the stored record it was parsed from.
  struct Parsed {
    store::ObjectPtr source;
    PolicyRules rules;                                          // of a role
    std::vector<std::pair<std::string, RbacBinding>> subjects;  // of a binding: "u:NAME" or "g:NAME"
  };
  using ParsedPtr = std::shared_ptr<const Parsed>;
  using ParsedMap = std::map<std::string, ParsedPtr, std::less<>>;  // by the store's key
  template <class T>
  void read(const store::SnapshotPtr& snapshot, const RbacIndex* before);
  static void fill(Parsed& into, k8s::rbac::v1::ClusterRole&& role);
  static void fill(Parsed& into, k8s::rbac::v1::Role&& role);
  static void fill(Parsed& into, k8s::rbac::v1::ClusterRoleBinding&& binding);
  static void fill(Parsed& into, k8s::rbac::v1::RoleBinding&& binding);

  store::SnapshotPtr roles_, cluster_roles_, role_bindings_, cluster_role_bindings_;
  ParsedMap parsed_;
  std::map<std::string, const PolicyRules*, std::less<>> rules_;                    // "name" or "namespace/name"
  std::map<std::string, std::vector<const RbacBinding*>, std::less<>> by_subject_;  // cluster-wide; "NS u:NAME" within
};

bool rule_allows(const k8s::rbac::v1::PolicyRule& rule, const Attributes& attributes);
// True when `owned` together allow everything that `rule` allows.
bool covers(const PolicyRules& owned, const k8s::rbac::v1::PolicyRule& rule);

}  // namespace redoubt::apiserver
