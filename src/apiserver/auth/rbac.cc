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

template <class T>
void each_of(const store::SnapshotPtr& snapshot, const std::function<void(T&&)>& each) {
  snapshot->visit("", "", [&](const store::ObjectPtr& object) {
    auto parsed = schema::from_json<T>(object->json);
    if (parsed) {
      each(std::move(*parsed));
    } else {
      log_error("an RBAC object can't be read and grants nothing",
                {{"key", object->key}, {"error", parsed.error().message()}});
    }
    return true;
  });
}

std::vector<std::string> subject_keys(const std::vector<k8s::rbac::v1::Subject>& subjects) {
  std::vector<std::string> out;
  for (const auto& subject : subjects) {
    if (subject.kind == "User") {
      out.push_back("u:" + subject.name);
    } else if (subject.kind == "Group") {
      out.push_back("g:" + subject.name);
    } else if (subject.kind == "ServiceAccount") {
      out.push_back(fmt::format("u:system:serviceaccount:{}:{}", subject.namespace_, subject.name));
    }
  }
  return out;
}

}  // namespace

RbacIndex::RbacIndex(store::SnapshotPtr roles, store::SnapshotPtr cluster_roles, store::SnapshotPtr role_bindings,
                     store::SnapshotPtr cluster_role_bindings)
    : roles_(std::move(roles)),
      cluster_roles_(std::move(cluster_roles)),
      role_bindings_(std::move(role_bindings)),
      cluster_role_bindings_(std::move(cluster_role_bindings)) {
  each_of<k8s::rbac::v1::ClusterRole>(cluster_roles_,
                                      [this](auto&& role) { rules_[role.metadata.name] = std::move(role.rules); });
  each_of<k8s::rbac::v1::Role>(roles_, [this](auto&& role) {
    rules_[role.metadata.namespace_ + "/" + role.metadata.name] = std::move(role.rules);
  });
  each_of<k8s::rbac::v1::ClusterRoleBinding>(cluster_role_bindings_, [this](auto&& binding) {
    for (const std::string& key : subject_keys(binding.subjects)) {
      by_subject_[key].push_back(
          {"ClusterRoleBinding \"" + binding.metadata.name + "\"", binding.roleRef.kind, binding.roleRef.name, ""});
    }
  });
  each_of<k8s::rbac::v1::RoleBinding>(role_bindings_, [this](auto&& binding) {
    for (const std::string& key : subject_keys(binding.subjects)) {
      by_ns_subject_[binding.metadata.namespace_ + " " + key].push_back(
          {"RoleBinding \"" + binding.metadata.name + "/" + binding.metadata.namespace_ + "\"", binding.roleRef.kind,
           binding.roleRef.name, binding.metadata.namespace_});
    }
  });
}

bool RbacIndex::same_state(const store::SnapshotPtr& roles, const store::SnapshotPtr& cluster_roles,
                           const store::SnapshotPtr& role_bindings,
                           const store::SnapshotPtr& cluster_role_bindings) const {
  return roles->identity() == roles_->identity() && cluster_roles->identity() == cluster_roles_->identity() &&
         role_bindings->identity() == role_bindings_->identity() &&
         cluster_role_bindings->identity() == cluster_role_bindings_->identity();
}

const PolicyRules* RbacIndex::role(std::string_view kind, std::string_view name, std::string_view ns) const {
  auto it = kind == "ClusterRole" ? rules_.find(name) : rules_.find(std::string(ns) + "/" + std::string(name));
  return it == rules_.end() ? nullptr : &it->second;
}

bool RbacIndex::visit(const UserInfo& user, std::string_view ns,
                      const std::function<bool(const PolicyRules&, const std::string&)>& each) const {
  auto try_subject = [&](const std::string& key) {
    auto scan = [&](const auto& map, const std::string& full) {
      auto it = map.find(full);
      if (it == map.end()) return false;
      for (const Binding& binding : it->second) {
        const PolicyRules* rules = role(binding.role_kind, binding.role_name, binding.namespace_);
        if (rules != nullptr && each(*rules, binding.name)) return true;
      }
      return false;
    };
    return scan(by_subject_, key) || (!ns.empty() && scan(by_ns_subject_, std::string(ns) + " " + key));
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
