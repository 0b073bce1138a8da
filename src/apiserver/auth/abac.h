// Attribute-based access by a file of policies, one JSON object a line (--authorization-policy-file), with upstream's
// format and meaning: https://kubernetes.io/docs/reference/access-authn-authz/abac/. Immutable; any thread.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/auth/attributes.h"
#include "apiserver/auth/user.h"
#include "base/status.h"
#include "schema/k8s/rbac_v1.h"

namespace redoubt::apiserver {

class AbacPolicies {
 public:
  // BadRequest names the line. Lines that are empty or begin with # are passed over.
  static Result<std::shared_ptr<const AbacPolicies>> parse(std::string_view text);
  Decision authorize(const UserInfo& user, const Attributes& attributes) const;
  // What applies to a user in a namespace, as RBAC would say it.
  std::vector<k8s::rbac::v1::PolicyRule> rules_for(const UserInfo& user, std::string_view ns) const;
  size_t size() const { return policies_.size(); }

 private:
  struct Policy {
    std::string user, group, api_group, resource, namespace_, path;
    bool read_only = false;
    bool is_about(const UserInfo& who) const;
    bool fits(const Attributes& a) const;
  };
  std::vector<Policy> policies_;
};

}  // namespace redoubt::apiserver
