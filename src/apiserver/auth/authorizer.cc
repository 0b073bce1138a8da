#include "apiserver/auth/authorizer.h"

#include <algorithm>

#include "apiserver/auth/rbac.h"
#include "schema/k8s/core_v1.h"
#include "schema/typed.h"

namespace redoubt::apiserver {

using k8s::rbac::v1::PolicyRule;

std::string denial(const UserInfo& user, const Attributes& a) {
  if (!a.resource_request) return fmt::format("User \"{}\" cannot {} path \"{}\"", user.name, a.verb, a.path);
  std::string resource = a.subresource.empty() ? a.resource : a.resource + "/" + a.subresource;
  std::string where =
      a.namespace_.empty() ? "at the cluster scope" : fmt::format("in the namespace \"{}\"", a.namespace_);
  return fmt::format("User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {}", user.name, a.verb, resource,
                     a.api_group, where);
}

std::shared_ptr<const RbacIndex> Authorizer::index() const {
  auto roles = store_.snapshot("roles");
  auto cluster_roles = store_.snapshot("clusterroles");
  auto role_bindings = store_.snapshot("rolebindings");
  auto cluster_role_bindings = store_.snapshot("clusterrolebindings");
  std::lock_guard lock(mutex_);
  if (!index_ || !index_->same_state(roles, cluster_roles, role_bindings, cluster_role_bindings)) {
    index_ = std::make_shared<const RbacIndex>(std::move(roles), std::move(cluster_roles), std::move(role_bindings),
                                               std::move(cluster_role_bindings));
  }
  return index_;
}

Decision Authorizer::authorize(const UserInfo& user, const Attributes& attributes) const {
  if (user.in_group("system:masters")) return {true, ""};
  if (!user.node_name().empty()) {
    if (Decision decision = by_node(user, attributes); decision.allowed) return decision;
  }
  Decision out;
  index()->visit(user, attributes.namespace_, [&](const PolicyRules& rules, const std::string& binding) {
    for (const PolicyRule& rule : rules) {
      if (!rule_allows(rule, attributes)) continue;
      out.allowed = true;
      out.reason = fmt::format("RBAC: allowed by {}", binding);
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
  index()->visit(user, ns, [&](const PolicyRules& rules, const std::string&) {
    out.insert(out.end(), rules.begin(), rules.end());
    return false;
  });
  return out;
}

Result<void> Authorizer::may_grant(const UserInfo& user, std::string_view ns,
                                   const std::vector<PolicyRule>& rules) const {
  std::vector<PolicyRule> owned = rules_for(user, ns);
  for (const PolicyRule& rule : rules) {
    if (covers(owned, rule)) continue;
    return forbidden(
        {}, "",
        fmt::format("user \"{}\" (groups={}) is attempting to grant RBAC permissions not currently held: {}", user.name,
                    fmt::format("[{}]", fmt::join(user.groups, " ")), schema::to_json(rule)));
  }
  return {};
}

std::vector<PolicyRule> Authorizer::rules_of_role(std::string_view kind, std::string_view name,
                                                  std::string_view ns) const {
  const PolicyRules* rules = index()->role(kind, name, ns);
  return rules == nullptr ? std::vector<PolicyRule>() : *rules;
}

namespace {

bool one_of(std::string_view value, std::initializer_list<std::string_view> list) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// True when a pod's spec names this object.
bool pod_uses(const k8s::core::v1::Pod& pod, std::string_view resource, std::string_view name) {
  const auto& spec = pod.spec;
  if (resource == "serviceaccounts") return spec.serviceAccountName == name;
  bool secret = resource == "secrets", config_map = resource == "configmaps";
  if (secret) {
    for (const auto& pull : spec.imagePullSecrets) {
      if (pull.name == name) return true;
    }
  }
  auto containers_use = [&](const auto& containers) {
    for (const auto& container : containers) {
      for (const auto& from : container.envFrom) {
        if (secret && from.secretRef && from.secretRef->name == name) return true;
        if (config_map && from.configMapRef && from.configMapRef->name == name) return true;
      }
      for (const auto& env : container.env) {
        if (!env.valueFrom) continue;
        if (secret && env.valueFrom->secretKeyRef && env.valueFrom->secretKeyRef->name == name) return true;
        if (config_map && env.valueFrom->configMapKeyRef && env.valueFrom->configMapKeyRef->name == name) return true;
      }
    }
    return false;
  };
  if (containers_use(spec.containers) || containers_use(spec.initContainers) ||
      containers_use(spec.ephemeralContainers))
    return true;
  for (const auto& volume : spec.volumes) {
    if (secret && volume.secret && volume.secret->secretName == name) return true;
    if (config_map && volume.configMap && volume.configMap->name == name) return true;
    if (resource == "persistentvolumeclaims" && volume.persistentVolumeClaim &&
        volume.persistentVolumeClaim->claimName == name)
      return true;
    if (!volume.projected) continue;
    for (const auto& source : volume.projected->sources) {
      if (secret && source.secret && source.secret->name == name) return true;
      if (config_map && source.configMap && source.configMap->name == name) return true;
    }
  }
  return false;
}

}  // namespace

bool Authorizer::pod_on_node_uses(std::string_view node, std::string_view resource, std::string_view ns,
                                  std::string_view name) const {
  bool found = false;
  store_.snapshot("pods")->visit(fmt::format("/registry/pods/{}/", ns), "", [&](const store::ObjectPtr& object) {
    bool here = std::any_of(object->fields.begin(), object->fields.end(),
                            [&](const auto& f) { return f.first == "spec.nodeName" && f.second == node; });
    if (!here) return true;
    auto pod = schema::from_json<k8s::core::v1::Pod>(object->json);
    found = pod && pod_uses(*pod, resource, name);
    return !found;
  });
  return found;
}

// What a kubelet may do. Objects that pods use are open to the node that runs such a pod, by name only; everything else
// is either harmless to read or the node's own (NodeRestriction checks the object's content on writes).
Decision Authorizer::by_node(const UserInfo& user, const Attributes& a) const {
  std::string_view node = user.node_name();
  auto allow = [](bool yes) { return Decision{yes, yes ? "Node: allowed" : ""}; };
  if (!a.resource_request) return {};
  bool read = one_of(a.verb, {"get", "list", "watch"});
  const std::string& group = a.api_group;
  if (group.empty()) {
    if (one_of(a.resource, {"secrets", "configmaps", "persistentvolumeclaims"})) {
      return allow(a.subresource.empty() && read && !a.name.empty() &&
                   pod_on_node_uses(node, a.resource, a.namespace_, a.name));
    }
    if (a.resource == "serviceaccounts") {
      bool verb = (a.subresource == "token" && a.verb == "create") || (a.subresource.empty() && a.verb == "get");
      return allow(verb && !a.name.empty() && pod_on_node_uses(node, a.resource, a.namespace_, a.name));
    }
    if (a.resource == "nodes") {
      if (a.subresource.empty() && a.verb == "create") return allow(true);
      if (!one_of(a.subresource, {"", "status"})) return {};
      return allow(a.name == node && one_of(a.verb, {"get", "list", "watch", "update", "patch"}));
    }
    if (a.resource == "pods") {
      if (a.subresource.empty()) {
        if (read) return allow(true);  // lists are limited to the node's own pods by NodeRestriction
        return allow(one_of(a.verb, {"create", "delete"}));
      }
      if (a.subresource == "status") return allow(one_of(a.verb, {"update", "patch", "get"}));
      return allow(a.subresource == "eviction" && a.verb == "create");
    }
    if (a.resource == "services") return allow(read && a.subresource.empty());
    if (a.resource == "events") return allow(one_of(a.verb, {"create", "update", "patch"}));
    return {};
  }
  if (group == "coordination.k8s.io" && a.resource == "leases") {
    if (a.namespace_ != "kube-node-lease") return {};
    return allow(a.verb == "create" || (a.name == node && one_of(a.verb, {"get", "update", "patch", "delete"})));
  }
  if (group == "events.k8s.io" && a.resource == "events") return allow(one_of(a.verb, {"create", "update", "patch"}));
  if (group == "certificates.k8s.io" && a.resource == "certificatesigningrequests") {
    return allow(a.subresource.empty() && one_of(a.verb, {"create", "get", "list", "watch"}));
  }
  if (group == "authentication.k8s.io" && a.resource == "tokenreviews") return allow(a.verb == "create");
  if (group == "authorization.k8s.io" && one_of(a.resource, {"subjectaccessreviews", "localsubjectaccessreviews"}))
    return allow(a.verb == "create");
  if (group == "node.k8s.io" && a.resource == "runtimeclasses") return allow(read);
  if (group == "storage.k8s.io" && a.resource == "csidrivers") return allow(read);
  if (group == "storage.k8s.io" && a.resource == "csinodes") return allow(a.verb == "create" || a.name == node);
  return {};
}

}  // namespace redoubt::apiserver
