#include "apiserver/auth/rbac.h"

#include <algorithm>

#include "base/log.h"
#include "schema/typed.h"

namespace redoubt::apiserver {

namespace {

using k8s::rbac::v1::PolicyRule;

bool has(const std::vector<std::string>& list, std::string_view wanted) {
  return std::find(list.begin(), list.end(), wanted) != list.end();
}
bool has_or_star(const std::vector<std::string>& list, std::string_view wanted) {
  return has(list, "*") || has(list, wanted);
}

template <class Binding>
std::vector<std::pair<std::string, RbacBinding>> subjects_of(const Binding& binding, std::string_view shown) {
  std::vector<std::pair<std::string, RbacBinding>> out;
  for (const auto& subject : binding.subjects) {
    std::string key, name = subject.name;
    if (subject.kind == "User") {
      key = "u:" + subject.name;
    } else if (subject.kind == "Group") {
      key = "g:" + subject.name;
    } else if (subject.kind == "ServiceAccount") {
      // Without a namespace there is no such account.
      if (subject.namespace_.empty()) continue;
      key = fmt::format("u:system:serviceaccount:{}:{}", subject.namespace_, subject.name);
      name += "/" + subject.namespace_;
    } else {
      continue;
    }
    out.emplace_back(std::move(key),
                     RbacBinding{fmt::format("{} of {} \"{}\" to {} \"{}\"", shown, binding.roleRef.kind,
                                             binding.roleRef.name, subject.kind, name),
                                 binding.roleRef.kind, binding.roleRef.name, binding.metadata.namespace_});
  }
  return out;
}

}  // namespace

void RbacIndex::fill(Parsed& into, k8s::rbac::v1::ClusterRole&& role) {
  into.rules = std::move(role.rules);
}
void RbacIndex::fill(Parsed& into, k8s::rbac::v1::Role&& role) {
  into.rules = std::move(role.rules);
}
void RbacIndex::fill(Parsed& into, k8s::rbac::v1::ClusterRoleBinding&& binding) {
  into.subjects = subjects_of(binding, fmt::format("ClusterRoleBinding \"{}\"", binding.metadata.name));
}
void RbacIndex::fill(Parsed& into, k8s::rbac::v1::RoleBinding&& binding) {
  into.subjects =
      subjects_of(binding, fmt::format("RoleBinding \"{}/{}\"", binding.metadata.name, binding.metadata.namespace_));
}

template <class T>
void RbacIndex::read(const store::SnapshotPtr& snapshot, const RbacIndex* before) {
  snapshot->visit("", "", [&](const store::ObjectPtr& object) {
    ParsedPtr parsed;
    if (before != nullptr) {
      auto it = before->parsed_.find(object->key);
      if (it != before->parsed_.end() && it->second->source == object) parsed = it->second;
    }
    if (!parsed) {
      auto made = std::make_shared<Parsed>();
      made->source = object;
      if (auto typed = schema::from_json<T>(object->json)) {
        fill(*made, std::move(*typed));
      } else {
        log_error("an RBAC object can't be read and grants nothing",
                  {{"key", object->key}, {"error", typed.error().message()}});
      }
      parsed = std::move(made);
    }
    std::string within = object->namespace_.empty() ? "" : object->namespace_ + " ";
    for (const auto& [subject, binding] : parsed->subjects) by_subject_[within + subject].push_back(&binding);
    if constexpr (std::is_same_v<T, k8s::rbac::v1::ClusterRole>) rules_[object->name] = &parsed->rules;
    if constexpr (std::is_same_v<T, k8s::rbac::v1::Role>)
      rules_[object->namespace_ + "/" + object->name] = &parsed->rules;
    parsed_.emplace(object->key, std::move(parsed));
    return true;
  });
}

RbacIndex::RbacIndex(store::SnapshotPtr roles, store::SnapshotPtr cluster_roles, store::SnapshotPtr role_bindings,
                     store::SnapshotPtr cluster_role_bindings, const RbacIndex* before)
    : roles_(std::move(roles)),
      cluster_roles_(std::move(cluster_roles)),
      role_bindings_(std::move(role_bindings)),
      cluster_role_bindings_(std::move(cluster_role_bindings)) {
  read<k8s::rbac::v1::ClusterRole>(cluster_roles_, before);
  read<k8s::rbac::v1::Role>(roles_, before);
  read<k8s::rbac::v1::ClusterRoleBinding>(cluster_role_bindings_, before);
  read<k8s::rbac::v1::RoleBinding>(role_bindings_, before);
}

bool RbacIndex::same_state(const store::SnapshotPtr& roles, const store::SnapshotPtr& cluster_roles,
                           const store::SnapshotPtr& role_bindings,
                           const store::SnapshotPtr& cluster_role_bindings) const {
  return roles->identity() == roles_->identity() && cluster_roles->identity() == cluster_roles_->identity() &&
         role_bindings->identity() == role_bindings_->identity() &&
         cluster_role_bindings->identity() == cluster_role_bindings_->identity();
}

const PolicyRules* RbacIndex::role(std::string_view kind, std::string_view name, std::string_view ns) const {
  if (kind == "Role" && ns.empty()) return nullptr;
  auto it = kind == "ClusterRole" ? rules_.find(name) : rules_.find(std::string(ns) + "/" + std::string(name));
  return it == rules_.end() ? nullptr : it->second;
}

bool RbacIndex::visit(const UserInfo& user, std::string_view ns,
                      const std::function<bool(const PolicyRules&, const RbacBinding&)>& each) const {
  auto scan = [&](const std::string& subject) {
    auto it = by_subject_.find(subject);
    if (it == by_subject_.end()) return false;
    for (const RbacBinding* binding : it->second) {
      const PolicyRules* rules = role(binding->role_kind, binding->role_name, binding->namespace_);
      if (rules != nullptr && each(*rules, *binding)) return true;
    }
    return false;
  };
  auto try_subject = [&](const std::string& subject) {
    return scan(subject) || (!ns.empty() && scan(std::string(ns) + " " + subject));
  };
  if (try_subject("u:" + user.name)) return true;
  for (const std::string& group : user.groups) {
    if (try_subject("g:" + group)) return true;
  }
  return false;
}

bool rule_allows(const PolicyRule& rule, const Attributes& a) {
  if (!has_or_star(rule.verbs, a.verb)) return false;
  if (!a.resource_request) {
    for (const std::string& url : rule.nonResourceURLs) {
      if (url == "*" || url == a.path ||
          (url.ends_with('*') && a.path.starts_with(std::string_view(url).substr(0, url.size() - 1))))
        return true;
    }
    return false;
  }
  if (!has_or_star(rule.apiGroups, a.api_group)) return false;
  std::string combined = a.subresource.empty() ? a.resource : a.resource + "/" + a.subresource;
  bool resource = has(rule.resources, "*") || has(rule.resources, combined) ||
                  (!a.subresource.empty() && has(rule.resources, "*/" + a.subresource));
  if (!resource) return false;
  return rule.resourceNames.empty() || has(rule.resourceNames, a.name);
}

bool covers(const PolicyRules& owned, const PolicyRule& rule) {
  auto any = [&](const Attributes& a) {
    return std::any_of(owned.begin(), owned.end(), [&](const PolicyRule& o) { return rule_allows(o, a); });
  };
  for (const std::string& verb : rule.verbs) {
    for (const std::string& url : rule.nonResourceURLs) {
      Attributes a;
      a.verb = verb;
      a.resource_request = false;
      a.path = url;
      if (!any(a)) return false;
    }
    for (const std::string& group : rule.apiGroups) {
      for (const std::string& resource : rule.resources) {
        Attributes a;
        a.verb = verb;
        a.api_group = group;
        size_t slash = resource.find('/');
        a.resource = resource.substr(0, slash);
        if (slash != std::string::npos) a.subresource = resource.substr(slash + 1);
        if (rule.resourceNames.empty()) {
          // Without names the rule covers all of them: only rules without names can.
          if (!any(a)) return false;
          continue;
        }
        for (const std::string& name : rule.resourceNames) {
          a.name = name;
          if (!any(a)) return false;
        }
      }
    }
  }
  return true;
}

}  // namespace redoubt::apiserver
