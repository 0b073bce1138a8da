#include "schema/resource.h"

#include <array>
#include <map>
#include <mutex>
#include <vector>

namespace redoubt::schema {

namespace {

constexpr uint32_t kGetUpdatePatch = kVerbGet | kVerbUpdate | kVerbPatch;

constexpr Subresource kStatus{.name = "status", .verbs = kGetUpdatePatch};
constexpr Subresource kScale{
    .name = "scale", .kind = "Scale", .group = "autoscaling", .version = "v1", .verbs = kGetUpdatePatch};

// clang-format off
constexpr Subresource kStatusOnly[] = {kStatus};
constexpr Subresource kScaleStatus[] = {kScale, kStatus};
constexpr Subresource kFinalizeStatus[] = {{.name = "finalize", .verbs = kVerbUpdate}, kStatus};
constexpr Subresource kApprovalStatus[] = {{.name = "approval", .verbs = kGetUpdatePatch}, kStatus};
constexpr Subresource kNode[] = {{.name = "proxy", .kind = "NodeProxyOptions", .verbs = kVerbCreate | kVerbDelete | kVerbGet | kVerbPatch | kVerbUpdate, .connect = true}, kStatus};
constexpr Subresource kService[] = {{.name = "proxy", .kind = "ServiceProxyOptions", .verbs = kVerbCreate | kVerbDelete | kVerbGet | kVerbPatch | kVerbUpdate, .connect = true}, kStatus};
constexpr Subresource kToken[] = {{.name = "token", .kind = "TokenRequest", .group = "authentication.k8s.io", .version = "v1", .verbs = kVerbCreate}};
constexpr Subresource kPod[] = {
    {.name = "attach", .kind = "PodAttachOptions", .verbs = kVerbCreate | kVerbGet, .connect = true},
    {.name = "binding", .kind = "Binding", .verbs = kVerbCreate},
    {.name = "ephemeralcontainers", .verbs = kGetUpdatePatch},
    {.name = "eviction", .kind = "Eviction", .group = "policy", .version = "v1", .verbs = kVerbCreate},
    {.name = "exec", .kind = "PodExecOptions", .verbs = kVerbCreate | kVerbGet, .connect = true},
    {.name = "log", .verbs = kVerbGet},
    {.name = "portforward", .kind = "PodPortForwardOptions", .verbs = kVerbCreate | kVerbGet, .connect = true},
    {.name = "proxy", .kind = "PodProxyOptions", .verbs = kVerbCreate | kVerbDelete | kVerbGet | kVerbPatch | kVerbUpdate, .connect = true},
    {.name = "resize", .verbs = kGetUpdatePatch},
    kStatus};

constexpr std::string_view kAll[] = {"all"};
constexpr std::string_view kApiExtensions[] = {"api-extensions"};
#define SHORT(id, ...) constexpr std::string_view id[] = {__VA_ARGS__}
SHORT(kCm, "cm"); SHORT(kCs, "cs"); SHORT(kEp, "ep"); SHORT(kEv, "ev"); SHORT(kLimits, "limits"); SHORT(kNs, "ns"); SHORT(kNo, "no"); SHORT(kPvc, "pvc"); SHORT(kPv, "pv");
SHORT(kPo, "po"); SHORT(kRc, "rc"); SHORT(kQuota, "quota"); SHORT(kSa, "sa"); SHORT(kSvc, "svc"); SHORT(kDs, "ds"); SHORT(kDeploy, "deploy"); SHORT(kRs, "rs"); SHORT(kSts, "sts");
SHORT(kHpa, "hpa"); SHORT(kCj, "cj"); SHORT(kCsr, "csr"); SHORT(kIng, "ing"); SHORT(kNetpol, "netpol"); SHORT(kPdb, "pdb"); SHORT(kPc, "pc"); SHORT(kSc, "sc"); SHORT(kCrd, "crd", "crds");
SHORT(kIp, "ip"); SHORT(kVac, "vac");
#undef SHORT

struct Row {
  std::string_view group, version, name, singular, kind;
  std::span<const std::string_view> shorts, categories;
  bool namespaced;
  std::span<const Subresource> subresources;
  std::string_view storage;  // empty: not stored
  uint32_t verbs = kVerbsAll;
  std::string_view storage_version = {};
};

constexpr std::span<const std::string_view> kNone;
constexpr std::span<const Subresource> kNoSub;
constexpr bool kNamespaced = true, kCluster = false;

// In discovery's order of groups. Names, short names, scopes and subresources are upstream's 1.35; versions that are off by default
// there are not in the table.
constexpr Row kRows[] = {
    {"", "v1", "bindings", "binding", "Binding", kNone, kNone, kNamespaced, kNoSub, "", kVerbCreate},
    {"", "v1", "componentstatuses", "componentstatus", "ComponentStatus", kCs, kNone, kCluster, kNoSub, "", kVerbGet | kVerbList},
    {"", "v1", "configmaps", "configmap", "ConfigMap", kCm, kNone, kNamespaced, kNoSub, "configmaps"},
    {"", "v1", "endpoints", "endpoints", "Endpoints", kEp, kNone, kNamespaced, kNoSub, "services/endpoints"},
    {"", "v1", "events", "event", "Event", kEv, kNone, kNamespaced, kNoSub, "events"},
    {"", "v1", "limitranges", "limitrange", "LimitRange", kLimits, kNone, kNamespaced, kNoSub, "limitranges"},
    {"", "v1", "namespaces", "namespace", "Namespace", kNs, kNone, kCluster, kFinalizeStatus, "namespaces", kVerbsAll & ~kVerbDeleteCollection},
    {"", "v1", "nodes", "node", "Node", kNo, kNone, kCluster, kNode, "minions"},
    {"", "v1", "persistentvolumeclaims", "persistentvolumeclaim", "PersistentVolumeClaim", kPvc, kNone, kNamespaced, kStatusOnly, "persistentvolumeclaims"},
    {"", "v1", "persistentvolumes", "persistentvolume", "PersistentVolume", kPv, kNone, kCluster, kStatusOnly, "persistentvolumes"},
    {"", "v1", "pods", "pod", "Pod", kPo, kAll, kNamespaced, kPod, "pods"},
    {"", "v1", "podtemplates", "podtemplate", "PodTemplate", kNone, kNone, kNamespaced, kNoSub, "podtemplates"},
    {"", "v1", "replicationcontrollers", "replicationcontroller", "ReplicationController", kRc, kAll, kNamespaced, kScaleStatus, "controllers"},
    {"", "v1", "resourcequotas", "resourcequota", "ResourceQuota", kQuota, kNone, kNamespaced, kStatusOnly, "resourcequotas"},
    {"", "v1", "secrets", "secret", "Secret", kNone, kNone, kNamespaced, kNoSub, "secrets"},
    {"", "v1", "serviceaccounts", "serviceaccount", "ServiceAccount", kSa, kNone, kNamespaced, kToken, "serviceaccounts"},
    {"", "v1", "services", "service", "Service", kSvc, kAll, kNamespaced, kService, "services/specs"},
    {"apiregistration.k8s.io", "v1", "apiservices", "apiservice", "APIService", kNone, kApiExtensions, kCluster, kStatusOnly, "apiregistration.k8s.io/apiservices"},
    {"apps", "v1", "controllerrevisions", "controllerrevision", "ControllerRevision", kNone, kNone, kNamespaced, kNoSub, "controllerrevisions"},
    {"apps", "v1", "daemonsets", "daemonset", "DaemonSet", kDs, kAll, kNamespaced, kStatusOnly, "daemonsets"},
    {"apps", "v1", "deployments", "deployment", "Deployment", kDeploy, kAll, kNamespaced, kScaleStatus, "deployments"},
    {"apps", "v1", "replicasets", "replicaset", "ReplicaSet", kRs, kAll, kNamespaced, kScaleStatus, "replicasets"},
    {"apps", "v1", "statefulsets", "statefulset", "StatefulSet", kSts, kAll, kNamespaced, kScaleStatus, "statefulsets"},
    {"events.k8s.io", "v1", "events", "event", "Event", kEv, kNone, kNamespaced, kNoSub, "events", kVerbsAll, "core/v1"},
    {"authentication.k8s.io", "v1", "selfsubjectreviews", "selfsubjectreview", "SelfSubjectReview", kNone, kNone, kCluster, kNoSub, "", kVerbCreate},
    {"authentication.k8s.io", "v1", "tokenreviews", "tokenreview", "TokenReview", kNone, kNone, kCluster, kNoSub, "", kVerbCreate},
    {"authorization.k8s.io", "v1", "localsubjectaccessreviews", "localsubjectaccessreview", "LocalSubjectAccessReview", kNone, kNone, kNamespaced, kNoSub, "", kVerbCreate},
    {"authorization.k8s.io", "v1", "selfsubjectaccessreviews", "selfsubjectaccessreview", "SelfSubjectAccessReview", kNone, kNone, kCluster, kNoSub, "", kVerbCreate},
    {"authorization.k8s.io", "v1", "selfsubjectrulesreviews", "selfsubjectrulesreview", "SelfSubjectRulesReview", kNone, kNone, kCluster, kNoSub, "", kVerbCreate},
    {"authorization.k8s.io", "v1", "subjectaccessreviews", "subjectaccessreview", "SubjectAccessReview", kNone, kNone, kCluster, kNoSub, "", kVerbCreate},
    {"autoscaling", "v2", "horizontalpodautoscalers", "horizontalpodautoscaler", "HorizontalPodAutoscaler", kHpa, kAll, kNamespaced, kStatusOnly, "horizontalpodautoscalers"},
    {"autoscaling", "v1", "horizontalpodautoscalers", "horizontalpodautoscaler", "HorizontalPodAutoscaler", kHpa, kAll, kNamespaced, kStatusOnly, "horizontalpodautoscalers", kVerbsAll, "autoscaling/v2"},
    {"batch", "v1", "cronjobs", "cronjob", "CronJob", kCj, kAll, kNamespaced, kStatusOnly, "cronjobs"},
    {"batch", "v1", "jobs", "job", "Job", kNone, kAll, kNamespaced, kStatusOnly, "jobs"},
    {"certificates.k8s.io", "v1", "certificatesigningrequests", "certificatesigningrequest", "CertificateSigningRequest", kCsr, kNone, kCluster, kApprovalStatus, "certificatesigningrequests"},
    {"networking.k8s.io", "v1", "ingressclasses", "ingressclass", "IngressClass", kNone, kNone, kCluster, kNoSub, "ingressclasses"},
    {"networking.k8s.io", "v1", "ingresses", "ingress", "Ingress", kIng, kNone, kNamespaced, kStatusOnly, "ingress"},
    {"networking.k8s.io", "v1", "ipaddresses", "ipaddress", "IPAddress", kIp, kNone, kCluster, kNoSub, "ipaddresses"},
    {"networking.k8s.io", "v1", "networkpolicies", "networkpolicy", "NetworkPolicy", kNetpol, kNone, kNamespaced, kNoSub, "networkpolicies"},
    {"networking.k8s.io", "v1", "servicecidrs", "servicecidr", "ServiceCIDR", kNone, kNone, kCluster, kStatusOnly, "servicecidrs"},
    {"policy", "v1", "poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget", kPdb, kNone, kNamespaced, kStatusOnly, "poddisruptionbudgets"},
    {"rbac.authorization.k8s.io", "v1", "clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding", kNone, kNone, kCluster, kNoSub, "clusterrolebindings"},
    {"rbac.authorization.k8s.io", "v1", "clusterroles", "clusterrole", "ClusterRole", kNone, kNone, kCluster, kNoSub, "clusterroles"},
    {"rbac.authorization.k8s.io", "v1", "rolebindings", "rolebinding", "RoleBinding", kNone, kNone, kNamespaced, kNoSub, "rolebindings"},
    {"rbac.authorization.k8s.io", "v1", "roles", "role", "Role", kNone, kNone, kNamespaced, kNoSub, "roles"},
    {"storage.k8s.io", "v1", "csidrivers", "csidriver", "CSIDriver", kNone, kNone, kCluster, kNoSub, "csidrivers"},
    {"storage.k8s.io", "v1", "csinodes", "csinode", "CSINode", kNone, kNone, kCluster, kNoSub, "csinodes"},
    {"storage.k8s.io", "v1", "csistoragecapacities", "csistoragecapacity", "CSIStorageCapacity", kNone, kNone, kNamespaced, kNoSub, "csistoragecapacities"},
    {"storage.k8s.io", "v1", "storageclasses", "storageclass", "StorageClass", kSc, kNone, kCluster, kNoSub, "storageclasses"},
    {"storage.k8s.io", "v1", "volumeattachments", "volumeattachment", "VolumeAttachment", kNone, kNone, kCluster, kStatusOnly, "volumeattachments"},
    {"storage.k8s.io", "v1", "volumeattributesclasses", "volumeattributesclass", "VolumeAttributesClass", kVac, kNone, kCluster, kNoSub, "volumeattributesclasses"},
    {"admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "mutatingwebhookconfiguration", "MutatingWebhookConfiguration", kNone, kApiExtensions, kCluster, kNoSub, "mutatingwebhookconfigurations"},
    {"admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "validatingadmissionpolicy", "ValidatingAdmissionPolicy", kNone, kApiExtensions, kCluster, kStatusOnly, "validatingadmissionpolicies"},
    {"admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", "validatingadmissionpolicybinding", "ValidatingAdmissionPolicyBinding", kNone, kApiExtensions, kCluster, kNoSub, "validatingadmissionpolicybindings"},
    {"admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "validatingwebhookconfiguration", "ValidatingWebhookConfiguration", kNone, kApiExtensions, kCluster, kNoSub, "validatingwebhookconfigurations"},
    {"apiextensions.k8s.io", "v1", "customresourcedefinitions", "customresourcedefinition", "CustomResourceDefinition", kCrd, kApiExtensions, kCluster, kStatusOnly, "apiextensions.k8s.io/customresourcedefinitions"},
    {"scheduling.k8s.io", "v1", "priorityclasses", "priorityclass", "PriorityClass", kPc, kNone, kCluster, kNoSub, "priorityclasses"},
    {"coordination.k8s.io", "v1", "leases", "lease", "Lease", kNone, kNone, kNamespaced, kNoSub, "leases"},
    {"node.k8s.io", "v1", "runtimeclasses", "runtimeclass", "RuntimeClass", kNone, kNone, kCluster, kNoSub, "runtimeclasses"},
    {"discovery.k8s.io", "v1", "endpointslices", "endpointslice", "EndpointSlice", kNone, kNone, kNamespaced, kNoSub, "endpointslices"},
    {"flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "flowschema", "FlowSchema", kNone, kNone, kCluster, kStatusOnly, "flowschemas"},
    {"flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations", "prioritylevelconfiguration", "PriorityLevelConfiguration", kNone, kNone, kCluster, kStatusOnly, "prioritylevelconfigurations"},
    {"resource.k8s.io", "v1", "deviceclasses", "deviceclass", "DeviceClass", kNone, kNone, kCluster, kNoSub, "deviceclasses"},
    {"resource.k8s.io", "v1", "resourceclaims", "resourceclaim", "ResourceClaim", kNone, kNone, kNamespaced, kStatusOnly, "resourceclaims"},
    {"resource.k8s.io", "v1", "resourceclaimtemplates", "resourceclaimtemplate", "ResourceClaimTemplate", kNone, kNone, kNamespaced, kNoSub, "resourceclaimtemplates"},
    {"resource.k8s.io", "v1", "resourceslices", "resourceslice", "ResourceSlice", kNone, kNone, kCluster, kNoSub, "resourceslices"},
};
// clang-format on

// The package of a group's types: "io.k8s.api.apps.v1" of apps/v1.
std::string type_name(const Row& row) {
  if (row.group == "apiregistration.k8s.io")
    return "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1." + std::string(row.kind);
  if (row.group == "apiextensions.k8s.io")
    return "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1." + std::string(row.kind);
  std::string_view package = row.group.empty() ? "core" : row.group.substr(0, row.group.find('.'));
  return fmt::format("io.k8s.api.{}.{}.{}", package, row.version, row.kind);
}

struct Table {
  std::vector<std::string> list_kinds;
  std::vector<Resource> resources;
  std::map<std::array<std::string_view, 3>, const Resource*> by_name, by_kind;

  Table() {
    list_kinds.reserve(std::size(kRows));
    resources.reserve(std::size(kRows));
    for (const Row& row : kRows) {
      list_kinds.push_back(std::string(row.kind) + "List");
      Resource r;
      r.group = row.group;
      r.version = row.version;
      r.name = row.name;
      r.singular = row.singular;
      r.kind = row.kind;
      r.list_kind = list_kinds.back();
      r.short_names = row.shorts;
      r.categories = row.categories;
      r.namespaced = row.namespaced;
      r.verbs = row.verbs;
      r.subresources = row.subresources;
      r.storage_prefix = row.storage;
      r.storage_version = row.storage_version.empty() ? row.version : row.storage_version;
      r.type = find_type(type_name(row));
      resources.push_back(r);
    }
    for (const Resource& r : resources) {
      by_name[{r.group, r.version, r.name}] = &r;
      by_kind[{r.group, r.version, r.kind}] = &r;
    }
  }
};

const Table& table() {
  static const Table* made = new Table;
  return *made;
}

}  // namespace

std::span<const Resource> builtin_resources() {
  return table().resources;
}

const Resource* find_resource(std::string_view group, std::string_view version, std::string_view name) {
  auto it = table().by_name.find({group, version, name});
  return it == table().by_name.end() ? nullptr : it->second;
}

const Resource* find_resource_by_kind(std::string_view group, std::string_view version, std::string_view kind) {
  auto it = table().by_kind.find({group, version, kind});
  return it == table().by_kind.end() ? nullptr : it->second;
}

}  // namespace redoubt::schema
