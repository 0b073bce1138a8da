// Authorization: may this user do this? Node and RBAC, in that order; what neither allows is denied.
//
// RBAC's rules are compiled into an index once for each state of the four resources; a check looks at the user's own
// bindings only. Any thread.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "apiserver/auth/attributes.h"
#include "apiserver/auth/node_authorizer.h"
#include "apiserver/auth/user.h"
#include "base/status.h"
#include "schema/k8s/rbac_v1.h"
#include "store/store.h"

namespace redoubt::apiserver {

class RbacIndex;

class Authorizer {
 public:
  explicit Authorizer(const store::Store& store) : store_(store), node_(store) {}
  Decision authorize(const UserInfo& user, const Attributes& attributes) const;
  // All rules that apply to a user in a namespace ("" for cluster-wide only): SelfSubjectRulesReview, and who may grant
  // what.
  std::vector<k8s::rbac::v1::PolicyRule> rules_for(const UserInfo& user, std::string_view ns) const;
  // Forbidden when the user's own rights do not cover `rules`: nobody may grant what they do not have (unless
  // "escalate" allows it).
  Result<void> may_grant(const UserInfo& user, std::string_view ns,
                         const std::vector<k8s::rbac::v1::PolicyRule>& rules) const;
  // The rules that a role reference stands for; empty when there is no such role.
  std::vector<k8s::rbac::v1::PolicyRule> rules_of_role(std::string_view kind, std::string_view name,
                                                       std::string_view ns) const;

 private:
  std::shared_ptr<const RbacIndex> index() const;
  const store::Store& store_;
  NodeAuthorizer node_;
  mutable std::mutex building_;  // one rebuild a change; readers of an index that is up to date do not take it
  mutable std::atomic<std::shared_ptr<const RbacIndex>> index_;
};

}  // namespace redoubt::apiserver
