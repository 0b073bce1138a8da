#include "paths/rbac.h"

#include <fmt/format.h>

#include <algorithm>

namespace redoubt::paths {

namespace {

bool has(const std::vector<std::string>& list, std::string_view wanted) {
  return std::ranges::any_of(list, [&](const std::string& s) { return s == wanted || s == "*"; });
}

bool names_resource(const Rule& rule, std::string_view resource) {
  size_t slash = resource.find('/');
  return std::ranges::any_of(rule.resources, [&](const std::string& s) {
    return s == "*" || s == resource ||
           (slash != std::string_view::npos && s.starts_with("*/") &&
            std::string_view(s).substr(1) == resource.substr(slash));
  });
}

bool everything(const Grant& grant) {
  return std::ranges::any_of(grant.rules, [](const Rule& r) {
    return r.names.empty() && std::ranges::count(r.verbs, "*") > 0 && std::ranges::count(r.groups, "*") > 0 &&
           std::ranges::count(r.resources, "*") > 0;
  });
}

bool may(const Grant& grant, std::string_view verb, std::string_view group, std::string_view resource) {
  return std::ranges::any_of(grant.rules,
                             [&](const Rule& r) { return r.names.empty() && allows(r, verb, group, resource); });
}

bool writes(const Rule& rule) {
  return std::ranges::any_of(rule.verbs, [](const std::string& v) {
    return v == "*" || v == "create" || v == "update" || v == "patch" || v == "delete" || v == "deletecollection";
  });
}

// Reviews of oneself, which everybody may make.
bool is_self_review(const Rule& rule) {
  return !rule.resources.empty() &&
         std::ranges::all_of(rule.resources, [](const std::string& r) { return r.starts_with("selfsubject"); });
}

// What anybody may know: health, version, discovery.
bool is_public(const Grant& grant) {
  constexpr std::string_view kPublic[] = {
      "/healthz", "/livez", "/readyz", "/version", "/.well-known/openid-configuration", "/openid/v1/jwks"};
  return std::ranges::all_of(grant.rules, [&](const Rule& r) {
    if (!r.resources.empty())
      return grant.ns == "kube-public" && r.names == std::vector<std::string>{"cluster-info"} &&
             r.resources == std::vector<std::string>{"configmaps"} && !writes(r);
    return std::ranges::all_of(r.urls, [&](const std::string& url) {
      return std::ranges::any_of(kPublic, [&](std::string_view p) {
        return url == p || url == std::string(p) + "/" || url == std::string(p) + "/*";
      });
    });
  });
}

std::string who(const Subject& s) {
  return s.kind == "ServiceAccount" ? fmt::format("ServiceAccount {}/{}", s.ns, s.name)
                                    : fmt::format("{} {}", s.kind, s.name);
}

bool is_administrator(const Subject& s) {
  return s.kind == "Group" && (s.name == "system:masters" || s.name == "kubeadm:cluster-admins");
}

// The API server itself, towards kubelets.
bool is_kubelet_client(const Subject& s) {
  return s.name.starts_with("kube-apiserver") || s.name == "redoubt:kubelet-api-clients" ||
         s.name == "system:kube-apiserver";
}

class Judge {
 public:
  explicit Judge(const Grant& grant) : grant_(grant), all_(everything(grant)) {}

  void subject(const Subject& s, std::vector<RbacFinding>& out) {
    if (is_administrator(s)) return;
    auto add = [&](const char* path, Verdict verdict, const char* id, std::string what, std::string advice) {
      out.push_back(
          {path, {verdict, id, fmt::format("{} gives {} {}", grant_.binding, who(s), what), std::move(advice)}});
    };
    std::string remove = fmt::format("Remove {} from {}.", who(s), grant_.binding);
    bool secrets = may(grant_, "get", "", "secrets") || may(grant_, "list", "", "secrets");
    if (s.name == "system:anonymous" || s.name == "system:unauthenticated") {
      if (!is_public(grant_))
        add("client-apiserver", Verdict::Open, "anonymous-grant",
            fmt::format("what role {} allows: whoever reaches the port has it", grant_.role), remove);
      return;
    }
    bool everybody = s.kind == "Group" && (s.name == "system:authenticated" || s.name == "system:serviceaccounts");
    if (everybody && !grant_.built_in) {
      bool dangerous = secrets || all_ || may(grant_, "create", "", "pods") || may(grant_, "get", "", "nodes/proxy") ||
                       std::ranges::any_of(grant_.rules, [](const Rule& r) { return writes(r) && !is_self_review(r); });
      if (dangerous)
        add(s.name == "system:serviceaccounts" ? "pod-apiserver" : "client-apiserver", Verdict::Open, "everybody-grant",
            fmt::format("rights to write or to read Secrets (role {})", grant_.role), remove);
      return;
    }
    if (s.kind == "ServiceAccount" && s.name == "default" && (all_ || secrets)) {
      add("pod-apiserver", Verdict::Open, "default-account-grant",
          fmt::format("role {}: every pod of the namespace that names no account has it", grant_.role),
          remove + " Give the pod that needs it an account of its own.");
      return;
    }
    if (s.name == "system:nodes" || s.name.starts_with("system:node:")) {
      if (all_)
        add("kubelet-apiserver", Verdict::Open, "node-grant", "everything: one stolen node is the whole cluster",
            remove);
      else if (secrets || may(grant_, "get", "", "nodes/proxy"))
        add("kubelet-apiserver", Verdict::Weak, "node-grant",
            fmt::format("role {}: one node's credential reads what belongs to others", grant_.role),
            remove + " The Node authorizer gives each node what its own pods use.");
      return;
    }
    if (s.name.starts_with("system:bootstrappers")) {
      if (all_ || secrets || may(grant_, "create", "", "pods") || may(grant_, "update", "", "nodes"))
        add("kubelet-apiserver", Verdict::Open, "bootstrap-grant",
            fmt::format("role {}: a token that is meant for joining opens more", grant_.role), remove);
      return;
    }
    bool component = s.name == "system:kube-scheduler" || s.name == "system:kube-controller-manager" ||
                     s.name == "system:kube-proxy";
    if (component && (all_ || (secrets && s.name != "system:kube-controller-manager"))) {
      add("component-apiserver", Verdict::Weak, "component-grant",
          fmt::format("role {}, which is wider than its own", grant_.role), remove);
      return;
    }
    if (all_ || grant_.built_in) return;  // an administrator by the cluster's own choice
    if (!is_kubelet_client(s) && (may(grant_, "get", "", "nodes/proxy") || may(grant_, "create", "", "nodes/proxy")))
      add("apiserver-node", Verdict::Weak, "nodes-proxy-grant",
          fmt::format("nodes/proxy (role {}), which runs commands in every pod of a node", grant_.role),
          fmt::format("Grant nodes/metrics, nodes/stats or nodes/log instead of nodes/proxy in role {}.", grant_.role));
    if (may(grant_, "impersonate", "", "users") || may(grant_, "impersonate", "", "groups"))
      add("client-apiserver", Verdict::Weak, "impersonate-grant",
          fmt::format("the right to impersonate anybody (role {})", grant_.role),
          fmt::format("Limit role {} to the names it needs by resourceNames.", grant_.role));
  }

 private:
  const Grant& grant_;
  bool all_;
};

}  // namespace

bool allows(const Rule& rule, std::string_view verb, std::string_view group, std::string_view resource) {
  return has(rule.verbs, verb) && has(rule.groups, group) && names_resource(rule, resource);
}

std::vector<RbacFinding> judge_grants(const std::vector<Grant>& grants) {
  std::vector<RbacFinding> out;
  for (const Grant& grant : grants) {
    Judge judge(grant);
    for (const Subject& subject : grant.subjects) judge.subject(subject, out);
  }
  return out;
}

}  // namespace redoubt::paths
