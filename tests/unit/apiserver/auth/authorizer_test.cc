#include "apiserver/auth/authorizer.h"

#include <gtest/gtest.h>

#include "apiserver/auth/bootstrap_policy.h"
#include "apiserver/auth/rbac.h"
#include "memory_store.h"

using namespace redoubt;
using namespace redoubt::apiserver;

namespace {

using k8s::rbac::v1::PolicyRule;

UserInfo user(std::string name, std::vector<std::string> groups = {}) {
  groups.emplace_back("system:authenticated");
  return UserInfo{std::move(name), "", std::move(groups), {}};
}
UserInfo node(const std::string& name) {
  return user("system:node:" + name, {"system:nodes"});
}

// "VERB RESOURCE[/SUBRESOURCE][.GROUP] [NAMESPACE[/NAME]]" or "VERB /path".
Attributes want(std::string_view text) {
  Attributes a;
  size_t blank = text.find(' ');
  a.verb = text.substr(0, blank);
  text = text.substr(blank + 1);
  if (text.starts_with('/')) {
    a.resource_request = false;
    a.path = text;
    return a;
  }
  std::string_view what = text.substr(0, text.find(' '));
  std::string_view where = text.find(' ') == std::string_view::npos ? "" : text.substr(text.find(' ') + 1);
  if (size_t dot = what.find('.'); dot != std::string_view::npos) {
    a.api_group = what.substr(dot + 1);
    what = what.substr(0, dot);
  }
  a.resource = what.substr(0, what.find('/'));
  if (size_t slash = what.find('/'); slash != std::string_view::npos) a.subresource = what.substr(slash + 1);
  a.namespace_ = where.substr(0, where.find('/'));
  if (size_t slash = where.find('/'); slash != std::string_view::npos) a.name = where.substr(slash + 1);
  return a;
}

struct Authorization : testing::Test {
  MemoryStore store;
  Authorizer authorizer{store};
  bool may(const UserInfo& who, std::string_view what) { return authorizer.authorize(who, want(what)).value().allowed; }

  void role(const std::string& resource, const std::string& ns, const std::string& name, const std::string& rules) {
    std::string where = ns.empty() ? "" : R"(,"namespace":")" + ns + "\"";
    store.put(resource, R"({"metadata":{"name":")" + name + "\"" + where + R"(},"rules":[)" + rules + "]}");
  }
  void bind(const std::string& resource, const std::string& ns, const std::string& name, const std::string& role_kind,
            const std::string& role_name, const std::string& subject) {
    std::string where = ns.empty() ? "" : R"(,"namespace":")" + ns + "\"";
    store.put(resource, R"({"metadata":{"name":")" + name + "\"" + where + R"(},"roleRef":{"kind":")" + role_kind +
                            R"(","name":")" + role_name + R"("},"subjects":[)" + subject + "]}");
  }
  void bootstrap() {
    for (const PolicyObject& object : bootstrap_policy()) store.put(object.resource, object.json);
  }
};

constexpr const char* kJane = R"({"kind":"User","name":"jane"})";

}  // namespace

TEST_F(Authorization, NamesWhatIsDenied) {
  EXPECT_EQ(denial(user("x"), want("list pods default")),
            R"(User "x" cannot list resource "pods" in API group "" in the namespace "default")");
  EXPECT_EQ(denial(user("x"), want("get nodes/proxy /n")),
            R"(User "x" cannot get resource "nodes/proxy" in API group "" at the cluster scope)");
  EXPECT_EQ(denial(user("x"), want("get /metrics")), R"(User "x" cannot get path "/metrics")");
}

TEST_F(Authorization, GrantsInTheBindingsNamespaceOnly) {
  role("clusterroles", "", "reader", R"({"verbs":["get","list"],"apiGroups":[""],"resources":["pods","pods/log"]})");
  bind("rolebindings", "a", "b", "ClusterRole", "reader", kJane);
  EXPECT_TRUE(may(user("jane"), "list pods a"));
  EXPECT_TRUE(may(user("jane"), "get pods/log a/x"));
  EXPECT_FALSE(may(user("jane"), "get pods/exec a/x"));
  EXPECT_FALSE(may(user("jane"), "list pods b"));
  EXPECT_FALSE(may(user("jane"), "list pods"));
  EXPECT_FALSE(may(user("jane"), "delete pods a/x"));
  EXPECT_FALSE(may(user("jane"), "list pods.metrics.k8s.io a"));
  EXPECT_FALSE(may(user("john"), "list pods a"));
  Decision decision = authorizer.authorize(user("jane"), want("list pods a")).value();
  EXPECT_EQ(decision.reason, R"(RBAC: allowed by RoleBinding "b/a" of ClusterRole "reader" to User "jane")");
}

TEST_F(Authorization, BindsServiceAccountsAndGroups) {
  role("roles", "a", "r", R"({"verbs":["*"],"apiGroups":["*"],"resources":["*"]})");
  bind("rolebindings", "a", "sa", "Role", "r", R"({"kind":"ServiceAccount","name":"s","namespace":"other"})");
  bind("rolebindings", "a", "g", "Role", "r", R"({"kind":"Group","name":"ops"})");
  EXPECT_TRUE(may(user("system:serviceaccount:other:s"), "delete secrets a/x"));
  EXPECT_FALSE(may(user("system:serviceaccount:a:s"), "delete secrets a/x"));
  EXPECT_TRUE(may(user("x", {"ops"}), "create deployments/scale.apps a/x"));
  EXPECT_FALSE(may(user("ops"), "get secrets a/x"));
  // A Role of another namespace is not what the binding means.
  bind("rolebindings", "b", "g", "Role", "r", R"({"kind":"Group","name":"ops"})");
  EXPECT_FALSE(may(user("x", {"ops"}), "get secrets b/x"));
}

TEST_F(Authorization, HonoursNamesSubresourceWildcardsAndPaths) {
  role("clusterroles", "", "r",
       R"({"verbs":["get"],"apiGroups":[""],"resources":["configmaps"],"resourceNames":["one"]},)"
       R"({"verbs":["update"],"apiGroups":["*"],"resources":["*/scale"]},)"
       R"({"verbs":["get"],"nonResourceURLs":["/metrics","/debug/*"]})");
  bind("clusterrolebindings", "", "b", "ClusterRole", "r", kJane);
  EXPECT_TRUE(may(user("jane"), "get configmaps a/one"));
  EXPECT_FALSE(may(user("jane"), "get configmaps a/two"));
  EXPECT_FALSE(may(user("jane"), "get configmaps a"));
  EXPECT_TRUE(may(user("jane"), "update deployments/scale.apps a/x"));
  EXPECT_FALSE(may(user("jane"), "update deployments/status.apps a/x"));
  EXPECT_TRUE(may(user("jane"), "get /metrics"));
  EXPECT_TRUE(may(user("jane"), "get /debug/pprof"));
  EXPECT_FALSE(may(user("jane"), "get /metricsx"));
  EXPECT_FALSE(may(user("jane"), "post /metrics"));
}

TEST_F(Authorization, SeesChangesAtOnce) {
  role("clusterroles", "", "r", R"({"verbs":["get"],"apiGroups":[""],"resources":["pods"]})");
  EXPECT_FALSE(may(user("jane"), "get pods a/x"));
  bind("clusterrolebindings", "", "b", "ClusterRole", "r", kJane);
  EXPECT_TRUE(may(user("jane"), "get pods a/x"));
  role("clusterroles", "", "r", R"({"verbs":["get"],"apiGroups":[""],"resources":["nodes"]})");
  EXPECT_FALSE(may(user("jane"), "get pods a/x"));
  store.remove("clusterroles", "/registry/clusterroles/r");
  EXPECT_FALSE(may(user("jane"), "get nodes /x"));
}

TEST_F(Authorization, LetsNobodyGrantWhatTheyDoNotHave) {
  role("clusterroles", "", "r", R"({"verbs":["get","list"],"apiGroups":["apps"],"resources":["deployments"]})");
  bind("rolebindings", "a", "b", "ClusterRole", "r", kJane);
  auto rule = [](std::vector<std::string> verbs, std::vector<std::string> groups, std::vector<std::string> resources) {
    PolicyRule out;
    out.verbs = std::move(verbs);
    out.apiGroups = std::move(groups);
    out.resources = std::move(resources);
    return out;
  };
  UserInfo jane = user("jane");
  EXPECT_TRUE(authorizer.may_grant(jane, "a", {rule({"get"}, {"apps"}, {"deployments"})}));
  PolicyRule named = rule({"get"}, {"apps"}, {"deployments"});
  named.resourceNames = {"x"};
  EXPECT_TRUE(authorizer.may_grant(jane, "a", {named}));
  EXPECT_FALSE(authorizer.may_grant(jane, "b", {rule({"get"}, {"apps"}, {"deployments"})}));
  EXPECT_FALSE(authorizer.may_grant(jane, "a", {rule({"*"}, {"apps"}, {"deployments"})}));
  EXPECT_FALSE(authorizer.may_grant(jane, "a", {rule({"get"}, {"*"}, {"deployments"})}));
  EXPECT_FALSE(authorizer.may_grant(jane, "a", {rule({"get"}, {"apps"}, {"*"})}));
  EXPECT_FALSE(authorizer.may_grant(jane, "a", {rule({"get"}, {"apps"}, {"deployments/scale"})}));
  auto denied = authorizer.may_grant(jane, "a", {rule({"get"}, {""}, {"secrets", "pods"})});
  EXPECT_TRUE(denied.error().message().ends_with(
      "user \"jane\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n"
      "{APIGroups:[\"\"], Resources:[\"secrets\" \"pods\"], Verbs:[\"get\"]}"))
      << denied.error().message();
  EXPECT_TRUE(authorizer.may_grant(user("root", {"system:masters"}), "", {rule({"*"}, {"*"}, {"*"})}));
}

TEST_F(Authorization, GivesANodeWhatItsPodsUse) {
  store.put(
      "pods",
      R"({"metadata":{"name":"web","namespace":"a"},"spec":{"nodeName":"n1","serviceAccountName":"sa",)"
      R"("imagePullSecrets":[{"name":"pull"}],"volumes":[{"name":"v","secret":{"secretName":"tls"}},)"
      R"({"name":"p","projected":{"sources":[{"configMap":{"name":"proj"}}]}},)"
      R"({"name":"d","persistentVolumeClaim":{"claimName":"data"}},{"name":"scratch","ephemeral":{}}],)"
      R"("initContainers":[{"name":"i","envFrom":[{"configMapRef":{"name":"init"}}]}],)"
      R"("containers":[{"name":"c","env":[{"name":"X","valueFrom":{"secretKeyRef":{"name":"env","key":"k"}}}]}]}})");
  store.put("pods", R"({"metadata":{"name":"other","namespace":"a"},"spec":{"nodeName":"n2",)"
                    R"("volumes":[{"name":"v","secret":{"secretName":"theirs"}}]}})");
  store.put("persistentvolumes", R"({"metadata":{"name":"pv"},"spec":{"claimRef":{"namespace":"a","name":"data"}}})");
  UserInfo n1 = node("n1"), n2 = node("n2");
  for (const char* what :
       {"get secrets a/tls", "get secrets a/pull", "get secrets a/env", "watch secrets a/tls", "get configmaps a/proj",
        "list configmaps a/init", "get persistentvolumeclaims a/data", "get persistentvolumeclaims a/web-scratch",
        "get persistentvolumes /pv", "create serviceaccounts/token a/sa", "get pods a/web"}) {
    EXPECT_TRUE(may(n1, what)) << what;
    EXPECT_FALSE(may(n2, what)) << what;
  }
  for (const char* what : {"get secrets a/theirs", "list secrets a", "list secrets", "get secrets b/tls",
                           "update secrets a/tls", "get secrets/status a/tls", "create serviceaccounts/token a/default",
                           "get pods a/other", "create serviceaccounts/token a"}) {
    EXPECT_FALSE(may(n1, what)) << what;
  }
  // The pod moves on: so do its objects.
  store.remove("pods", "/registry/pods/a/web");
  EXPECT_FALSE(may(n1, "get secrets a/tls"));
}

TEST_F(Authorization, GivesANodeNothingThroughItsMirrorPods) {
  store.put("pods", R"({"metadata":{"name":"m","namespace":"a","annotations":{"kubernetes.io/config.mirror":"x"}},)"
                    R"("spec":{"nodeName":"n1","volumes":[{"name":"v","secret":{"secretName":"loot"}}]}})");
  EXPECT_FALSE(may(node("n1"), "get secrets a/loot"));
  EXPECT_TRUE(may(node("n1"), "get pods a/m"));
}

TEST_F(Authorization, LimitsANodeToItself) {
  UserInfo n1 = node("n1");
  for (const char* what :
       {"get nodes /n1", "create nodes", "patch nodes/status /n1", "get leases.coordination.k8s.io kube-node-lease/n1",
        "create leases.coordination.k8s.io kube-node-lease", "create pods/eviction a/x", "patch pods/status a/x",
        "list services", "create events a", "create certificatesigningrequests.certificates.k8s.io",
        "create tokenreviews.authentication.k8s.io", "create subjectaccessreviews.authorization.k8s.io",
        "get csinodes.storage.k8s.io /n1", "create nodes/tunnel /n1",
        "get endpointslices.discovery.k8s.io default/kubernetes"}) {
    EXPECT_TRUE(may(n1, what)) << what;
  }
  for (const char* what : {"get nodes /n2",
                           "list nodes",
                           "delete nodes /n1",
                           "get nodes/proxy /n1",
                           "list pods",
                           "list pods a",
                           "deletecollection pods a",
                           "create pods/exec a/x",
                           "create pods/binding a/x",
                           "patch pods a/x",
                           "get leases.coordination.k8s.io kube-node-lease/n2",
                           "get leases.coordination.k8s.io a/n1",
                           "list leases.coordination.k8s.io kube-node-lease",
                           "update csinodes.storage.k8s.io /n2",
                           "update certificatesigningrequests/approval.certificates.k8s.io /x",
                           "create clusterrolebindings.rbac.authorization.k8s.io",
                           "impersonate users /admin",
                           "get /metrics",
                           "create nodes/tunnel /n2",
                           "create nodes/tunnel",
                           "get nodes/tunnel /n1",
                           "get endpointslices.discovery.k8s.io default/other",
                           "list endpointslices.discovery.k8s.io default"}) {
    EXPECT_FALSE(may(n1, what)) << what;
  }
  Attributes own = want("list pods");
  own.field_equals = parse_field_equals("spec.nodeName=n1");
  EXPECT_TRUE(authorizer.authorize(n1, own).value().allowed);
  EXPECT_FALSE(authorizer.authorize(node("n2"), own).value().allowed);
  for (const char* selector : {"spec.nodeName!=n1", "spec.nodeName=n2", "metadata.name=n1", "spec.nodeName=n1\\,x"}) {
    own.field_equals = parse_field_equals(selector);
    EXPECT_FALSE(authorizer.authorize(n1, own).value().allowed) << selector;
  }
  // A user who merely has a node's name, or its group, is none.
  EXPECT_FALSE(may(user("system:node:n1"), "get nodes /n1"));
  EXPECT_FALSE(may(user("jane", {"system:nodes"}), "get nodes /n1"));
}

TEST_F(Authorization, DefaultsAreUpstreamsAndTight) {
  bootstrap();
  UserInfo admin = user("kubernetes-admin", {"system:masters"});
  UserInfo anybody = user("jane");
  UserInfo anonymous{"system:anonymous", "", {"system:unauthenticated"}, {}};
  UserInfo scheduler = user("system:kube-scheduler"), manager = user("system:kube-controller-manager");
  auto account = [](const std::string& name) {
    return user("system:serviceaccount:kube-system:" + name, {"system:serviceaccounts"});
  };
  struct Row {
    UserInfo who;
    const char* what;
    bool allowed;
  };
  const Row rows[] = {
      {admin, "delete namespaces /x", true},
      {admin, "get /anything", true},
      {anybody, "get /version", true},
      {anybody, "get /apis/apps/v1", true},
      {anybody, "create selfsubjectaccessreviews.authorization.k8s.io", true},
      {anybody, "list pods default", false},
      {anybody, "get /metrics", false},
      {anybody, "create tokenreviews.authentication.k8s.io", false},
      {anonymous, "get /readyz", true},
      {anonymous, "get /version", false},
      {anonymous, "get /api", false},
      {anonymous, "list pods default", false},
      {scheduler, "create pods/binding default/x", true},
      {scheduler, "watch pods", true},
      {scheduler, "get secrets default/x", false},
      {scheduler, "create pods default", false},
      {manager, "list secrets", true},
      {manager, "delete pods default/x", false},
      {account("namespace-controller"), "deletecollection secrets x", true},
      {account("deployment-controller"), "create replicasets.apps default", true},
      {account("deployment-controller"), "get secrets default/x", false},
      {account("replicaset-controller"), "create pods default", true},
      {account("replicaset-controller"), "delete deployments.apps default/x", false},
      {account("token-cleaner"), "delete secrets kube-system/x", true},
      {account("token-cleaner"), "delete secrets default/x", false},
      {account("bootstrap-signer"), "list secrets kube-system", true},
      {account("bootstrap-signer"), "list secrets default", false},
      {account("bootstrap-signer"), "update configmaps kube-public/cluster-info", true},
      {account("bootstrap-signer"), "update configmaps kube-public/other", false},
      {account("horizontal-pod-autoscaler"), "update deployments/scale.apps default/x", true},
      {account("default"), "list pods kube-system", false},
      {user("system:bootstrap:abcdef", {"system:bootstrappers"}),
       "create certificatesigningrequests.certificates.k8s.io", true},
      {user("system:bootstrap:abcdef", {"system:bootstrappers"}), "list nodes", false},
      {user("system:bootstrap:abcdef", {"system:bootstrappers"}), "get secrets kube-system/x", false},
      {user("kube-apiserver-kubelet-client", {"redoubt:kubelet-api-clients"}), "create nodes/proxy /n1", true},
      {user("kube-apiserver-kubelet-client", {"redoubt:kubelet-api-clients"}), "list secrets", false},
      {user("system:kube-proxy"), "watch endpointslices.discovery.k8s.io", true},
      {user("system:kube-proxy"), "list secrets", false},
  };
  for (const Row& row : rows) EXPECT_EQ(may(row.who, row.what), row.allowed) << row.who.name << ": " << row.what;
}

TEST_F(Authorization, AggregatesAdminEditAndView) {
  bootstrap();
  bind("rolebindings", "a", "v", "ClusterRole", "view", R"({"kind":"User","name":"viewer"})");
  bind("rolebindings", "a", "e", "ClusterRole", "edit", R"({"kind":"User","name":"editor"})");
  bind("rolebindings", "a", "a", "ClusterRole", "admin", R"({"kind":"User","name":"owner"})");
  EXPECT_TRUE(may(user("viewer"), "get pods/log a/x"));
  EXPECT_FALSE(may(user("viewer"), "get secrets a/x"));
  EXPECT_FALSE(may(user("viewer"), "create pods a"));
  EXPECT_TRUE(may(user("editor"), "get secrets a/x"));
  EXPECT_TRUE(may(user("editor"), "create deployments.apps a"));
  EXPECT_TRUE(may(user("editor"), "get pods/log a/x"));
  EXPECT_FALSE(may(user("editor"), "create rolebindings.rbac.authorization.k8s.io a"));
  EXPECT_TRUE(may(user("owner"), "create rolebindings.rbac.authorization.k8s.io a"));
  EXPECT_FALSE(may(user("owner"), "create rolebindings.rbac.authorization.k8s.io b"));
  EXPECT_FALSE(may(user("owner"), "update resourcequotas a/x"));
}
