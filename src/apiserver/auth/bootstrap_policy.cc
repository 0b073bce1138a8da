#include "apiserver/auth/bootstrap_policy.h"

#include <map>

#include "schema/k8s/rbac_v1.h"
#include "schema/typed.h"

namespace redoubt::apiserver {

namespace {

using k8s::rbac::v1::PolicyRule;

// Rules are written as "VERBS GROUPS RESOURCES [NAMES]": comma-separated lists, "core" for the group without a name. A
// rule on paths is "VERBS path PATHS".
struct RoleRow {
  const char* name;
  std::vector<const char*> rules;
  const char* aggregate_to = nullptr;  // label rbac.authorization.k8s.io/aggregate-to-X
  const char* aggregates = nullptr;    // this role is the sum of those with that label
};
struct BindingRow {
  const char* name;  // of the binding
  const char* role;
  std::vector<const char*> subjects;  // "g:GROUP", "u:USER", "sa:NAMESPACE/NAME"
  const char* ns = nullptr;           // a RoleBinding there
};

std::vector<std::string> split(std::string_view text, char by) {
  std::vector<std::string> out;
  while (true) {
    size_t at = text.find(by);
    out.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 1);
  }
}

PolicyRule parse_rule(std::string_view text) {
  auto parts = split(text, ' ');
  PolicyRule rule;
  rule.verbs = split(parts[0], ',');
  if (parts[1] == "path") {
    rule.nonResourceURLs = split(parts[2], ',');
    return rule;
  }
  rule.apiGroups = split(parts[1], ',');
  for (std::string& group : rule.apiGroups) {
    if (group == "core") group.clear();
  }
  rule.resources = split(parts[2], ',');
  if (parts.size() > 3) rule.resourceNames = split(parts[3], ',');
  return rule;
}

#define READ "get,list,watch"
#define WRITE "create,delete,deletecollection,patch,update"
#define EVENTS "create,patch,update core,events.k8s.io events"
#define LEASES(name) "create coordination.k8s.io leases", "get,update coordination.k8s.io leases " name

const std::vector<RoleRow>& cluster_roles() {
  static const std::vector<RoleRow> rows = {
      {"cluster-admin", {"* * *", "* path *"}},
      {"system:discovery",
       {"get path /api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/"}},
      {"system:monitoring",
       {"get path /healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*",
        "get core nodes/metrics"}},
      {"system:basic-user",
       {"create authorization.k8s.io selfsubjectaccessreviews,selfsubjectrulesreviews",
        "create authentication.k8s.io selfsubjectreviews"}},
      {"system:public-info-viewer", {"get path /healthz,/livez,/readyz,/version,/version/"}},
      {"system:health-viewer", {"get path /healthz,/livez,/readyz"}},
      {"system:service-account-issuer-discovery",
       {"get path "
        "/.well-known/openid-configuration,/.well-known/openid-configuration/,/openid/v1/jwks,/openid/v1/jwks/"}},
      {"admin", {}, nullptr, "admin"},
      {"edit", {}, nullptr, "edit"},
      {"view", {}, nullptr, "view"},
      {"system:aggregate-to-admin",
       {"create authorization.k8s.io localsubjectaccessreviews",
        "create,delete,deletecollection,get,list,patch,update,watch rbac.authorization.k8s.io rolebindings,roles"},
       "admin"},
      {"system:aggregate-to-edit",
       {READ " core pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy",
        "impersonate core serviceaccounts", WRITE " core pods,pods/attach,pods/exec,pods/portforward,pods/proxy",
        "create core pods/eviction",
        WRITE " core "
              "configmaps,events,persistentvolumeclaims,replicationcontrollers,replicationcontrollers/"
              "scale,secrets,serviceaccounts,services,services/proxy",
        "create core serviceaccounts/token",
        WRITE " apps "
              "daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,replicasets/"
              "scale,statefulsets,statefulsets/scale",
        WRITE " autoscaling horizontalpodautoscalers", WRITE " batch cronjobs,jobs",
        WRITE " networking.k8s.io ingresses,networkpolicies", WRITE " policy poddisruptionbudgets",
        "create,delete,deletecollection,get,list,patch,update,watch coordination.k8s.io leases",
        WRITE " resource.k8s.io resourceclaims,resourceclaimtemplates"},
       "edit"},
      {"system:aggregate-to-view",
       {READ " core "
             "configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/"
             "status,pods,replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status",
        READ " core "
             "bindings,events,limitranges,namespaces/status,pods/log,pods/status,replicationcontrollers/"
             "status,resourcequotas,resourcequotas/status",
        READ " core namespaces", READ " discovery.k8s.io endpointslices",
        READ
        " apps "
        "controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,deployments/"
        "status,replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale,statefulsets/status",
        READ " autoscaling horizontalpodautoscalers,horizontalpodautoscalers/status",
        READ " batch cronjobs,cronjobs/status,jobs,jobs/status",
        READ " networking.k8s.io ingresses,ingresses/status,networkpolicies",
        READ " policy poddisruptionbudgets,poddisruptionbudgets/status",
        READ " resource.k8s.io resourceclaims,resourceclaims/status,resourceclaimtemplates"},
       "view"},
      {"system:auth-delegator",
       {"create authentication.k8s.io tokenreviews", "create authorization.k8s.io subjectaccessreviews"}},
      {"system:kubelet-api-admin",
       {"get,list,watch core nodes", "* core nodes/proxy",
        "* core "
        "nodes/configz,nodes/healthz,nodes/log,nodes/metrics,nodes/pods,nodes/stats,nodes/spec,nodes/checkpoint"}},
      {"system:node-bootstrapper", {"create,get,list,watch certificates.k8s.io certificatesigningrequests"}},
      {"system:certificates.k8s.io:certificatesigningrequests:nodeclient",
       {"create certificates.k8s.io certificatesigningrequests/nodeclient"}},
      {"system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
       {"create certificates.k8s.io certificatesigningrequests/selfnodeclient"}},
      {"system:certificates.k8s.io:kube-apiserver-client-approver",
       {"approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client"}},
      {"system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
       {"approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client-kubelet"}},
      {"system:certificates.k8s.io:kubelet-serving-approver",
       {"approve certificates.k8s.io signers kubernetes.io/kubelet-serving"}},
      // Bound to nobody: the Node authorizer decides for nodes, by what runs on each.
      {"system:node",
       {"create authentication.k8s.io tokenreviews",
        "create authorization.k8s.io localsubjectaccessreviews,subjectaccessreviews",
        READ " core services",
        "create,get,list,patch,update,watch core nodes",
        "patch,update core nodes/status",
        EVENTS,
        "create,delete,get,list,watch core pods",
        "patch,update core pods/status",
        "create core pods/eviction",
        READ " core configmaps,secrets",
        "get core persistentvolumeclaims,persistentvolumes",
        "patch,update core persistentvolumeclaims/status",
        "get storage.k8s.io volumeattachments",
        "create,get,list,watch certificates.k8s.io certificatesigningrequests",
        "create core serviceaccounts/token",
        "create,delete,get,patch,update coordination.k8s.io leases",
        "create,delete,get,patch,update storage.k8s.io csinodes",
        READ " storage.k8s.io csidrivers",
        READ " node.k8s.io runtimeclasses",
        "get resource.k8s.io resourceclaims"}},
      {"system:heapster", {READ " core events,namespaces,nodes,pods", READ " extensions deployments"}},
      {"system:node-problem-detector", {"get core nodes", "patch core nodes/status", EVENTS}},
      {"system:kube-aggregator", {READ " core endpoints,services"}},
      {"system:kube-dns", {"list,watch core endpoints,services"}},
      {"system:persistent-volume-provisioner",
       {"create,delete,get,list,watch core persistentvolumes", "get,list,update,watch core persistentvolumeclaims",
        READ " storage.k8s.io storageclasses", "watch core events", EVENTS}},
      {"system:volume-scheduler",
       {"get,list,patch,update,watch core persistentvolumeclaims,persistentvolumes",
        READ " storage.k8s.io storageclasses"}},
      {"system:certificates.k8s.io:legacy-unknown-approver",
       {"approve certificates.k8s.io signers kubernetes.io/legacy-unknown"}},
      {"system:node-proxier",
       {READ " core nodes", "list,watch core endpoints,services", "list,watch discovery.k8s.io endpointslices", EVENTS,
        "list,watch networking.k8s.io servicecidrs"}},
      // What the agent's pod network reads with the node's credential: where the others are, and their public keys.
      {"redoubt:pod-network", {"get,list,watch core nodes"}},
      // What the agent's service proxy reads with the node's credential; of Nodes, its own is enough.
      {"redoubt:node-proxier", {"list,watch core services", "list,watch discovery.k8s.io endpointslices"}},
      {"system:kube-scheduler",
       {EVENTS, LEASES("kube-scheduler"), READ " core nodes", "delete,get,list,watch core pods",
        "create core bindings,pods/binding", "patch,update core pods/status",
        READ " core replicationcontrollers,services,namespaces,persistentvolumeclaims,persistentvolumes",
        READ " apps replicasets,statefulsets", READ " policy poddisruptionbudgets",
        "get,list,patch,update,watch core persistentvolumeclaims,persistentvolumes",
        READ " storage.k8s.io csidrivers,csinodes,csistoragecapacities,storageclasses,volumeattachments",
        "create authentication.k8s.io tokenreviews", "create authorization.k8s.io subjectaccessreviews"}},
      {"system:kube-controller-manager",
       {EVENTS, LEASES("kube-controller-manager"), "create core secrets,serviceaccounts", "delete core secrets",
        "get core configmaps,namespaces,secrets,serviceaccounts", "update core secrets,serviceaccounts",
        "create authentication.k8s.io tokenreviews", "create authorization.k8s.io subjectaccessreviews",
        "list,watch * *", "create core serviceaccounts/token"}},
      {"system:controller:namespace-controller",
       {"delete,get,list,watch core namespaces", "update core namespaces/finalize,namespaces/status",
        "delete,deletecollection,get,list,watch * *"}},
      {"system:controller:service-account-controller", {"create core serviceaccounts", EVENTS}},
      {"system:controller:root-ca-cert-publisher", {"create,update core configmaps", EVENTS}},
      {"system:controller:certificate-controller",
       {"delete,get,list,watch certificates.k8s.io certificatesigningrequests",
        "update certificates.k8s.io certificatesigningrequests/approval,certificatesigningrequests/status",
        "approve,sign certificates.k8s.io signers "
        "kubernetes.io/kube-apiserver-client,kubernetes.io/kube-apiserver-client-kubelet,kubernetes.io/"
        "kubelet-serving,kubernetes.io/legacy-unknown",
        "create authorization.k8s.io subjectaccessreviews", READ " core nodes", EVENTS}},
      {"system:controller:deployment-controller",
       {"get,list,update,watch apps deployments", "update apps deployments/status,deployments/finalizers",
        "create,delete,get,list,patch,update,watch apps replicasets", "get,list,update,watch core pods", EVENTS}},
      {"system:controller:replicaset-controller",
       {"get,list,update,watch apps replicasets", "update apps replicasets/status,replicasets/finalizers",
        "create,delete,list,patch,watch core pods", EVENTS}},
      {"system:controller:daemon-set-controller",
       {READ " apps daemonsets", "update apps daemonsets/status,daemonsets/finalizers", "list,watch core nodes",
        "create,delete,list,patch,watch core pods", "create core pods/binding",
        "create,delete,get,list,patch,update,watch apps controllerrevisions", EVENTS}},
      {"system:controller:statefulset-controller",
       {"list,watch core pods", READ " apps statefulsets", "update apps statefulsets/status,statefulsets/finalizers",
        "create,delete,get,patch,update core pods",
        "create,delete,get,list,patch,update,watch apps controllerrevisions",
        "create,get,list,watch,update,delete core persistentvolumeclaims", EVENTS}},
      {"system:controller:job-controller",
       {"get,list,patch,update,watch batch jobs", "update batch jobs/status,jobs/finalizers",
        "create,delete,list,patch,watch core pods", EVENTS}},
      {"system:controller:cronjob-controller",
       {"get,list,update,watch batch cronjobs", "create,delete,get,list,patch,update,watch batch jobs",
        "update batch cronjobs/status,cronjobs/finalizers", "delete,list,watch core pods", EVENTS}},
      {"system:controller:endpoint-controller",
       {READ " core pods,services", "create,delete,get,list,update,watch core endpoints",
        "create core endpoints/restricted", EVENTS}},
      {"system:controller:endpointslice-controller",
       {READ " core nodes,pods,services", "create,delete,get,list,update,watch discovery.k8s.io endpointslices",
        "update core services/finalizers", EVENTS}},
      {"system:controller:node-controller",
       {"delete,get,list,patch,update,watch core nodes", "patch,update core nodes/status",
        "delete,get,list,watch core pods", "patch,update core pods/status", EVENTS}},
      {"system:controller:generic-garbage-collector", {"delete,get,list,patch,update,watch * *", EVENTS}},
      {"system:controller:pod-garbage-collector",
       {"delete,list,watch core pods", READ " core nodes", "patch core pods/status"}},
      {"system:controller:clusterrole-aggregation-controller",
       {"escalate,get,list,patch,update,watch rbac.authorization.k8s.io clusterroles"}},
      {"system:controller:attachdetach-controller",
       {READ " core nodes", "list,watch core persistentvolumeclaims,persistentvolumes,pods",
        "patch,update core nodes/status", "create,delete,get,list,watch storage.k8s.io volumeattachments",
        READ " storage.k8s.io csidrivers,csinodes", EVENTS}},
      {"system:controller:disruption-controller",
       {READ " apps deployments,replicasets,statefulsets", READ " core replicationcontrollers",
        READ " policy poddisruptionbudgets", "update policy poddisruptionbudgets/status",
        "patch,update core pods/status", "get * */scale", EVENTS}},
      {"system:controller:endpointslicemirroring-controller",
       {READ " core endpoints,services", "update core services/finalizers,endpoints/finalizers",
        "create,delete,get,list,update,watch discovery.k8s.io endpointslices", EVENTS}},
      {"system:controller:expand-controller",
       {"get,list,patch,update,watch core persistentvolumes", "patch,update core persistentvolumeclaims/status",
        READ " core persistentvolumeclaims", "get core services", EVENTS}},
      {"system:controller:ephemeral-volume-controller",
       {READ " core pods", "update core pods/finalizers", "create,get,list,watch core persistentvolumeclaims", EVENTS}},
      {"system:controller:resource-claim-controller",
       {READ " core pods", "update core pods/finalizers", "create,delete,get,list,watch resource.k8s.io resourceclaims",
        READ " resource.k8s.io resourceclaimtemplates",
        "patch,update resource.k8s.io resourceclaims,resourceclaims/status", "patch,update core pods/status", EVENTS}},
      {"system:controller:horizontal-pod-autoscaler",
       {READ " autoscaling horizontalpodautoscalers", "update autoscaling horizontalpodautoscalers/status",
        "get,update * */scale", "list,watch core pods", "list,watch metrics.k8s.io pods",
        READ " custom.metrics.k8s.io,external.metrics.k8s.io *", EVENTS}},
      {"system:controller:persistent-volume-binder",
       {"create,delete,get,list,update,watch core persistentvolumes", "update core persistentvolumes/status",
        "get,list,update,watch core persistentvolumeclaims", "update core persistentvolumeclaims/status",
        "create,delete,get,list,watch core pods", READ " storage.k8s.io storageclasses", "list,watch core nodes",
        "get core services", "watch core events", EVENTS}},
      {"system:controller:replication-controller",
       {"get,list,update,watch core replicationcontrollers",
        "update core replicationcontrollers/status,replicationcontrollers/finalizers",
        "create,delete,list,patch,watch core pods", EVENTS}},
      {"system:controller:resourcequota-controller", {"list,watch * *", "update core resourcequotas/status", EVENTS}},
      {"system:controller:route-controller", {"list,watch core nodes", "patch core nodes/status", EVENTS}},
      {"system:controller:service-controller",
       {READ " core services", "patch,update core services/status", "list,watch core nodes", EVENTS}},
      {"system:controller:service-cidrs-controller",
       {"get,list,patch,update,watch networking.k8s.io servicecidrs",
        "patch,update networking.k8s.io servicecidrs/finalizers,servicecidrs/status",
        READ " networking.k8s.io ipaddresses", EVENTS}},
      {"system:controller:ttl-controller", {"list,patch,update,watch core nodes", EVENTS}},
      {"system:controller:ttl-after-finished-controller", {"delete,get,list,watch batch jobs", EVENTS}},
      {"system:controller:pvc-protection-controller",
       {"get,list,update,watch core persistentvolumeclaims", READ " core pods", EVENTS}},
      {"system:controller:pv-protection-controller", {"get,list,update,watch core persistentvolumes", EVENTS}},
      {"system:controller:volumeattributesclass-protection-controller",
       {READ " core persistentvolumeclaims,persistentvolumes",
        "get,list,update,watch storage.k8s.io volumeattributesclasses", EVENTS}},
      {"system:controller:validatingadmissionpolicy-status-controller",
       {READ " admissionregistration.k8s.io validatingadmissionpolicies",
        "get,patch,update admissionregistration.k8s.io validatingadmissionpolicies/status", EVENTS}},
      {"system:controller:legacy-service-account-token-cleaner",
       {"get core configmaps kube-apiserver-legacy-service-account-token-tracking", "delete,patch core secrets"}},
  };
  return rows;
}

// Roles of one namespace.
struct NamespacedRow {
  const char* ns;
  RoleRow role;
};
const std::vector<NamespacedRow>& roles() {
  static const std::vector<NamespacedRow> rows = {
      {"kube-system",
       {"extension-apiserver-authentication-reader", {READ " core configmaps extension-apiserver-authentication"}}},
      {"kube-system", {"system:controller:bootstrap-signer", {READ " core secrets"}}},
      {"kube-system", {"system:controller:cloud-provider", {"create,get,list,watch core configmaps"}}},
      {"kube-system", {"system:controller:token-cleaner", {"delete,get,list,watch core secrets", EVENTS}}},
      {"kube-system",
       {"system::leader-locking-kube-controller-manager",
        {"watch core configmaps", "get,update core configmaps kube-controller-manager"}}},
      {"kube-system", {"system::leader-locking-kube-scheduler", {"get,update core configmaps kube-scheduler"}}},
      // The bootstrap signer makes cluster-info here, where with kubeadm `kubeadm init` does; all may read what is in
      // it.
      {"kube-public", {"redoubt:cluster-info-publisher", {"create core configmaps"}}},
      {"kube-public", {"kubeadm:bootstrap-signer-clusterinfo", {"get core configmaps cluster-info"}}},
      {"kube-public", {"redoubt:cluster-info-reader", {READ " core configmaps cluster-info"}}},
      // Network policies for the nodes: addresses, and nothing else of anybody's pods.
      {"kube-node-lease", {"redoubt:network-policy-writer", {"create,delete,update core configmaps"}}},
      {"kube-node-lease", {"redoubt:network-policy-reader", {READ " core configmaps"}}},
      {"kube-public",
       {"system:controller:bootstrap-signer",
        {READ " core configmaps", "update core configmaps cluster-info", EVENTS}}},
  };
  return rows;
}

const std::vector<BindingRow>& bindings() {
  static const std::vector<BindingRow> rows = {
      {"cluster-admin", "cluster-admin", {"g:system:masters"}},
      {"system:monitoring", "system:monitoring", {"g:system:monitoring"}},
      {"system:discovery", "system:discovery", {"g:system:authenticated"}},
      {"system:basic-user", "system:basic-user", {"g:system:authenticated"}},
      // Narrower than upstream: who presents no credential sees the health checks and nothing else.
      {"system:public-info-viewer", "system:public-info-viewer", {"g:system:authenticated"}},
      {"redoubt:health-viewer", "system:health-viewer", {"g:system:authenticated", "g:system:unauthenticated"}},
      {"system:service-account-issuer-discovery",
       "system:service-account-issuer-discovery",
       {"g:system:serviceaccounts"}},
      {"system:node-proxier", "system:node-proxier", {"u:system:kube-proxy"}},
      // The agent serves Services on its node with the node's own credential: nothing secret is read by that.
      {"redoubt:node-proxiers", "redoubt:node-proxier", {"g:system:nodes"}},
      {"redoubt:pod-networks", "redoubt:pod-network", {"g:system:nodes"}},
      {"system:kube-controller-manager", "system:kube-controller-manager", {"u:system:kube-controller-manager"}},
      {"system:kube-scheduler", "system:kube-scheduler", {"u:system:kube-scheduler"}},
      {"redoubt:kubelet-api-clients", "system:kubelet-api-admin", {"g:redoubt:kubelet-api-clients"}},
      {"redoubt:node-bootstrapper", "system:node-bootstrapper", {"g:system:bootstrappers"}},
      {"redoubt:node-autoapprove-bootstrap",
       "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
       {"g:system:bootstrappers"}},
      {"redoubt:node-autoapprove-certificate-rotation",
       "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
       {"g:system:nodes"}},
      {"system:node", "system:node", {}},
      {"system:kube-dns", "system:kube-dns", {"sa:kube-system/kube-dns"}},
      {"system:volume-scheduler", "system:volume-scheduler", {"u:system:kube-scheduler"}},
      {"system::extension-apiserver-authentication-reader",
       "extension-apiserver-authentication-reader",
       {"u:system:kube-controller-manager", "u:system:kube-scheduler"},
       "kube-system"},
      {"system::leader-locking-kube-controller-manager",
       "system::leader-locking-kube-controller-manager",
       {"u:system:kube-controller-manager", "sa:kube-system/kube-controller-manager"},
       "kube-system"},
      {"system::leader-locking-kube-scheduler",
       "system::leader-locking-kube-scheduler",
       {"u:system:kube-scheduler", "sa:kube-system/kube-scheduler"},
       "kube-system"},
      {"system:controller:bootstrap-signer",
       "system:controller:bootstrap-signer",
       {"sa:kube-system/bootstrap-signer"},
       "kube-system"},
      {"system:controller:bootstrap-signer",
       "system:controller:bootstrap-signer",
       {"sa:kube-system/bootstrap-signer"},
       "kube-public"},
      {"redoubt:cluster-info-publisher",
       "redoubt:cluster-info-publisher",
       {"sa:kube-system/bootstrap-signer"},
       "kube-public"},
      {"kubeadm:bootstrap-signer-clusterinfo",
       "kubeadm:bootstrap-signer-clusterinfo",
       {"u:system:anonymous"},
       "kube-public"},
      {"redoubt:cluster-info-reader", "redoubt:cluster-info-reader", {"g:system:authenticated"}, "kube-public"},
      {"redoubt:network-policy-writer",
       "redoubt:network-policy-writer",
       {"sa:kube-system/network-policy-controller"},
       "kube-node-lease"},
      {"redoubt:network-policy-reader", "redoubt:network-policy-reader", {"g:system:nodes"}, "kube-node-lease"},
      {"system:controller:cloud-provider",
       "system:controller:cloud-provider",
       {"sa:kube-system/cloud-provider"},
       "kube-system"},
      {"system:controller:token-cleaner",
       "system:controller:token-cleaner",
       {"sa:kube-system/token-cleaner"},
       "kube-system"},
  };
  return rows;
}

template <class T>
void mark(T& object) {
  object.metadata.labels["kubernetes.io/bootstrapping"] = "rbac-defaults";
  object.metadata.annotations["rbac.authorization.kubernetes.io/autoupdate"] = "true";
}

template <class Binding>
Binding binding_of(const std::string& name, const char* role_kind, const std::string& role) {
  Binding binding;
  binding.metadata.name = name;
  mark(binding);
  binding.roleRef.apiGroup = "rbac.authorization.k8s.io";
  binding.roleRef.kind = role_kind;
  binding.roleRef.name = role;
  return binding;
}

k8s::rbac::v1::Subject subject_of(std::string_view text) {
  k8s::rbac::v1::Subject subject;
  if (text.starts_with("sa:")) {
    size_t slash = text.find('/');
    subject.kind = "ServiceAccount";
    subject.namespace_ = text.substr(3, slash - 3);
    subject.name = text.substr(slash + 1);
    return subject;
  }
  subject.kind = text.starts_with("g:") ? "Group" : "User";
  subject.apiGroup = "rbac.authorization.k8s.io";
  subject.name = text.substr(2);
  return subject;
}

}  // namespace

std::vector<PolicyObject> bootstrap_policy() {
  std::vector<PolicyObject> out;
  // The sums are written out at once, so that they hold before the aggregation controller first runs.
  std::map<std::string, std::vector<PolicyRule>> sums;
  const std::map<std::string, std::vector<std::string>> includes = {
      {"admin", {"admin", "edit", "view"}}, {"edit", {"edit", "view"}}, {"view", {"view"}}};
  for (const RoleRow& row : cluster_roles()) {
    if (row.aggregate_to == nullptr) continue;
    for (const auto& [sum, parts] : includes) {
      for (const std::string& part : parts) {
        if (part != row.aggregate_to) continue;
        for (const char* rule : row.rules) sums[sum].push_back(parse_rule(rule));
      }
    }
  }
  for (const RoleRow& row : cluster_roles()) {
    k8s::rbac::v1::ClusterRole role;
    role.metadata.name = row.name;
    mark(role);
    for (const char* rule : row.rules) role.rules.push_back(parse_rule(rule));
    if (row.aggregate_to != nullptr) {
      role.metadata.labels[fmt::format("rbac.authorization.k8s.io/aggregate-to-{}", row.aggregate_to)] = "true";
    }
    // Who may edit may also administer, who may view may also edit: the sums' own labels say so.
    if (row.aggregates != nullptr) {
      std::string self = row.aggregates;
      if (self == "edit") role.metadata.labels["rbac.authorization.k8s.io/aggregate-to-admin"] = "true";
      if (self == "view") role.metadata.labels["rbac.authorization.k8s.io/aggregate-to-edit"] = "true";
      role.rules = sums[self];
      auto& selectors = role.aggregationRule.emplace().clusterRoleSelectors;
      selectors.emplace_back().matchLabels["rbac.authorization.k8s.io/aggregate-to-" + self] = "true";
    }
    out.push_back({"clusterroles", "", row.name, schema::to_json(role)});
  }
  for (const NamespacedRow& row : roles()) {
    k8s::rbac::v1::Role role;
    role.metadata.name = row.role.name;
    role.metadata.namespace_ = row.ns;
    mark(role);
    for (const char* rule : row.role.rules) role.rules.push_back(parse_rule(rule));
    out.push_back({"roles", row.ns, row.role.name, schema::to_json(role)});
  }
  for (const BindingRow& row : bindings()) {
    if (row.ns != nullptr) {
      auto binding = binding_of<k8s::rbac::v1::RoleBinding>(row.name, "Role", row.role);
      binding.metadata.namespace_ = row.ns;
      for (const char* subject : row.subjects) binding.subjects.push_back(subject_of(subject));
      out.push_back({"rolebindings", row.ns, row.name, schema::to_json(binding)});
    } else {
      auto binding = binding_of<k8s::rbac::v1::ClusterRoleBinding>(row.name, "ClusterRole", row.role);
      for (const char* subject : row.subjects) binding.subjects.push_back(subject_of(subject));
      out.push_back({"clusterrolebindings", "", row.name, schema::to_json(binding)});
    }
  }
  // Each controller is a ServiceAccount of kube-system, bound to the role of its name.
  constexpr std::string_view kController = "system:controller:";
  for (const RoleRow& row : cluster_roles()) {
    std::string name = row.name;
    if (!name.starts_with(kController)) continue;
    auto binding = binding_of<k8s::rbac::v1::ClusterRoleBinding>(name, "ClusterRole", name);
    binding.subjects.push_back(subject_of("sa:kube-system/" + name.substr(kController.size())));
    out.push_back({"clusterrolebindings", "", name, schema::to_json(binding)});
  }
  return out;
}

}  // namespace redoubt::apiserver
