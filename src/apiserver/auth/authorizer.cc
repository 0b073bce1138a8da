#include "apiserver/auth/authorizer.h"

#include <algorithm>

#include "apiserver/auth/rbac.h"
#include "schema/typed.h"

namespace redoubt::apiserver {

using k8s::rbac::v1::PolicyRule;

std::shared_ptr<const RbacIndex> Authorizer::index() const {
  auto roles = store_.snapshot("roles");
  auto cluster_roles = store_.snapshot("clusterroles");
  auto role_bindings = store_.snapshot("rolebindings");
  auto cluster_role_bindings = store_.snapshot("clusterrolebindings");
  auto is_current = [&](const std::shared_ptr<const RbacIndex>& index) {
    return index && index->same_state(roles, cluster_roles, role_bindings, cluster_role_bindings);
  };
  auto index = index_.load();
  if (is_current(index)) return index;
  std::lock_guard lock(building_);
  index = index_.load();
  if (is_current(index)) return index;
  auto made = std::make_shared<const RbacIndex>(std::move(roles), std::move(cluster_roles), std::move(role_bindings),
                                                std::move(cluster_role_bindings), index.get());
  index_.store(made);
  return made;
}

Decision Authorizer::authorize(const UserInfo& user, const Attributes& attributes) const {
  if (user.in_group("system:masters")) return {true, ""};
  if (!user.node_name().empty()) {
    if (Decision decision = node_.authorize(user, attributes); decision.allowed) return decision;
  }
  Decision out;
  index()->visit(user, attributes.namespace_, [&](const PolicyRules& rules, const RbacBinding& binding) {
    for (const PolicyRule& rule : rules) {
      if (!rule_allows(rule, attributes)) continue;
      out.allowed = true;
      out.reason = fmt::format("RBAC: allowed by {}", binding.text);
      return true;
    }
    return false;
  });
  return out;
}

std::vector<PolicyRule> Authorizer::rules_for(const UserInfo& user, std::string_view ns) const {
  std::vector<PolicyRule> out;
  if (user.in_group("system:masters")) {
    PolicyRule everything, paths;
    everything.verbs = everything.apiGroups = everything.resources = {"*"};
    paths.verbs = paths.nonResourceURLs = {"*"};
    out = {everything, paths};
  }
  index()->visit(user, ns, [&](const PolicyRules& rules, const RbacBinding&) {
    out.insert(out.end(), rules.begin(), rules.end());
    return false;
  });
  return out;
}

namespace {

// Lists and rules as upstream prints them: ["a" "b"], {APIGroups:[""], Resources:["pods"], Verbs:["get"]}.
std::string quoted(const std::vector<std::string>& list) {
  std::string out = "[";
  for (const std::string& item : list) out += fmt::format("{}\"{}\"", out.size() > 1 ? " " : "", item);
  return out + "]";
}

std::string shown(const PolicyRule& rule) {
  std::string out = "{";
  auto add = [&](const char* name, const std::vector<std::string>& list) {
    if (!list.empty()) out += fmt::format("{}{}:{}", out.size() > 1 ? ", " : "", name, quoted(list));
  };
  add("APIGroups", rule.apiGroups);
  add("Resources", rule.resources);
  add("NonResourceURLs", rule.nonResourceURLs);
  add("ResourceNames", rule.resourceNames);
  add("Verbs", rule.verbs);
  return out + "}";
}

}  // namespace

Result<void> Authorizer::may_grant(const UserInfo& user, std::string_view ns,
                                   const std::vector<PolicyRule>& rules) const {
  std::vector<PolicyRule> owned = rules_for(user, ns);
  std::string missing;
  for (const PolicyRule& rule : rules) {
    if (!covers(owned, rule)) missing += "\n" + shown(rule);
  }
  if (missing.empty()) return {};
  return forbidden({}, "",
                   fmt::format("user \"{}\" (groups={}) is attempting to grant RBAC permissions not currently held:{}",
                               user.name, quoted(user.groups), missing));
}

std::vector<PolicyRule> Authorizer::rules_of_role(std::string_view kind, std::string_view name,
                                                  std::string_view ns) const {
  const PolicyRules* rules = index()->role(kind, name, ns);
  return rules == nullptr ? std::vector<PolicyRule>() : *rules;
}

}  // namespace redoubt::apiserver
