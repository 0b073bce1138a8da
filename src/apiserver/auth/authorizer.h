// Authorization: may this user do this? Node and RBAC, in that order; what neither allows is denied.
//
// RBAC's rules are compiled into an index once for each state of the four resources; a check looks at the user's own
// bindings only. Any thread.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "apiserver/auth/user.h"
#include "base/status.h"
#include "schema/k8s/rbac_v1.h"
#include "store/store.h"

namespace redoubt::apiserver {

// What is to be done: a resource request, or a path.
struct Attributes {
  std::string
      verb;  // get, list, watch, create, update, patch, delete, deletecollection, ...; for paths the lower-case method
  bool resource_request = true;
  std::string api_group, api_version, resource, subresource, namespace_, name;
  std::string path;
};

struct Decision {
  bool allowed = false;
  std::string reason;
};

class RbacIndex;

class Authorizer {
 public:
  explicit Authorizer(const store::Store& store) : store_(store) {}
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
  Decision by_node(const UserInfo& user, const Attributes& attributes) const;
  bool pod_on_node_uses(std::string_view node, std::string_view resource, std::string_view ns,
                        std::string_view name) const;
  const store::Store& store_;
  mutable std::mutex mutex_;  // guards the pointer; building happens under it, once a change
  mutable std::shared_ptr<const RbacIndex> index_;
};

// `User "x" cannot list resource "pods" in API group "" in the namespace "y"`.
std::string denial(const UserInfo& user, const Attributes& attributes);

}  // namespace redoubt::apiserver
