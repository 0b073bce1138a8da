#include "apiserver/auth/node_restriction.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "apiserver/auth/pod_references.h"
#include "schema/typed.h"

namespace redoubt::apiserver {

namespace {

using schema::Value;
using Denial = std::optional<std::string>;

bool is_or_below(std::string_view domain, std::string_view parent) {
  return domain == parent || (domain.size() > parent.size() && domain.ends_with(parent) &&
                              domain[domain.size() - parent.size() - 1] == '.');
}

// A label that steers workloads and that a node may therefore not give itself: everything protected, and Kubernetes'
// own labels but for those that a kubelet reports.
bool is_protected_label(std::string_view key) {
  size_t slash = key.find('/');
  if (slash == std::string_view::npos) return false;
  std::string_view domain = key.substr(0, slash);
  if (is_or_below(domain, "node-restriction.kubernetes.io")) return true;
  if (!is_or_below(domain, "kubernetes.io") && !is_or_below(domain, "k8s.io")) return false;
  if (is_or_below(domain, "kubelet.kubernetes.io") || is_or_below(domain, "node.kubernetes.io")) return false;
  static const std::set<std::string_view> kReported = {
      "kubernetes.io/hostname",
      "kubernetes.io/os",
      "kubernetes.io/arch",
      "beta.kubernetes.io/os",
      "beta.kubernetes.io/arch",
      "beta.kubernetes.io/instance-type",
      "topology.kubernetes.io/zone",
      "topology.kubernetes.io/region",
      "failure-domain.beta.kubernetes.io/zone",
      "failure-domain.beta.kubernetes.io/region",
  };
  return !kReported.contains(key);
}

// Protected labels that differ between the two, sorted.
std::set<std::string> protected_changes(const Value& now, const Value& before) {
  std::set<std::string> out;
  auto compare = [&](const Value& a, const Value& b) {
    for (const schema::Member& label : schema::members(a)) {
      Value* other = b.find(label.key);
      if ((other == nullptr || !other->equals(label.value)) && is_protected_label(label.key)) out.emplace(label.key);
    }
  };
  compare(now, before);
  compare(before, now);
  return out;
}

bool same(const Value& a, const Value& b) {
  return (a.empty() && b.empty() && !a.is_string() && !b.is_string()) || a.equals(b);
}

Denial on_node(const NodeWrite& w, const Value& object, const Value& old) {
  if (w.name != w.node) return fmt::format("node \"{}\" is not allowed to modify node \"{}\"", w.node, w.name);
  if (object.is_null()) return fmt::format("node \"{}\" is not allowed to delete itself", w.node);
  Value source = object.get({"spec", "configSource"});
  auto labels = protected_changes(object.get({"metadata", "labels"}), old.get({"metadata", "labels"}));
  if (old.is_null()) {
    if (!source.is_null())
      return fmt::format("node \"{}\" is not allowed to create pods with a non-nil configSource", w.node);
    if (!labels.empty())
      return fmt::format("node \"{}\" is not allowed to set the following labels: {}", w.node, fmt::join(labels, ", "));
    return {};
  }
  if (!source.is_null() && !source.equals(old.get({"spec", "configSource"})))
    return fmt::format("node \"{}\" is not allowed to update configSource to a new non-nil configSource", w.node);
  if (!same(object.get({"spec", "taints"}), old.get({"spec", "taints"})))
    return fmt::format("node \"{}\" is not allowed to modify taints", w.node);
  // An owner that is gone would have the garbage collector delete the Node, and its taints with it.
  if (!same(object.get({"metadata", "ownerReferences"}), old.get({"metadata", "ownerReferences"})))
    return fmt::format("node \"{}\" is not allowed to modify ownerReferences", w.node);
  if (!labels.empty()) return fmt::format("is not allowed to modify labels: {}", fmt::join(labels, ", "));
  return {};
}

Denial mirror_pod(const store::Store& store, const NodeWrite& w, const Value& object) {
  auto parsed = schema::from_value<k8s::core::v1::Pod>(object);
  if (!parsed) return parsed.error().message();
  const k8s::core::v1::Pod& pod = *parsed;
  if (!pod.metadata.annotations.contains(std::string(kMirrorPodAnnotation)))
    return fmt::format("pod does not have \"{}\" annotation, node \"{}\" can only create mirror pods",
                       kMirrorPodAnnotation, w.node);
  if (pod.spec.nodeName != w.node)
    return fmt::format("node \"{}\" can only create pods with spec.nodeName set to itself", w.node);
  if (pod.metadata.ownerReferences.size() != 1)
    return fmt::format("node \"{}\" can only create pods with {} owner reference set to itself", w.node,
                       pod.metadata.ownerReferences.empty() ? "an" : "a single");
  const auto& owner = pod.metadata.ownerReferences[0];
  if (owner.apiVersion != "v1" || owner.kind != "Node" || owner.name != w.node)
    return fmt::format("node \"{}\" can only create pods with an owner reference set to itself", w.node);
  if (!owner.controller.value_or(false))
    return fmt::format("node \"{}\" can only create pods with a controller owner reference set to itself", w.node);
  if (owner.blockOwnerDeletion.value_or(false))
    return fmt::format("node \"{}\" must not set blockOwnerDeletion on an owner reference", w.node);
  auto node = store.snapshot("minions")->find(fmt::format("/registry/minions/{}", w.node));
  if (!node || node->uid != owner.uid)
    return fmt::format("node {} UID mismatch: expected {} got {}", w.node, owner.uid, node ? node->uid : "none");
  if (!pod.spec.serviceAccountName.empty() || !pod.spec.serviceAccount.empty())
    return fmt::format("node \"{}\" can not create pods that reference a service account", w.node);
  for (const PodReference& reference : pod_references(pod))
    return fmt::format("node \"{}\" can not create pods that reference {}", w.node, reference.resource);
  for (const auto& volume : pod.spec.volumes) {
    if (!volume.projected) continue;
    for (const auto& source : volume.projected->sources) {
      if (source.clusterTrustBundle)
        return fmt::format("node \"{}\" can not create pods that reference clustertrustbundles", w.node);
      if (source.serviceAccountToken || source.podCertificate)
        return fmt::format("node \"{}\" can not create pods that project credentials", w.node);
    }
  }
  return {};
}

// Names and generated names of resource claims: a node that could change them would choose what it may read.
bool same_claims(const Value& a, const Value& b) {
  return same(a.get({"status", "resourceClaimStatuses"}), b.get({"status", "resourceClaimStatuses"}));
}

Denial on_pod(const store::Store& store, const NodeWrite& w, const Value& object, const Value& old) {
  std::string_view bound = old.get({"spec", "nodeName"}).as_string();
  if (w.subresource == "status") {
    if (object.is_null() || old.is_null()) return "unexpected operation on pods/status";
    if (bound != w.node)
      return fmt::format("node \"{}\" can only update pod status for pods with spec.nodeName set to itself", w.node);
    if (!same(object.get({"metadata", "labels"}), old.get({"metadata", "labels"})))
      return fmt::format("node \"{}\" cannot update labels through pod status", w.node);
    if (!same_claims(object, old)) return fmt::format("node \"{}\" cannot update resource claim statues", w.node);
    return {};
  }
  if (w.subresource == "eviction") {
    if (bound != w.node) return fmt::format("node {} can only evict pods with spec.nodeName set to itself", w.node);
    return {};
  }
  if (!w.subresource.empty())
    return fmt::format("unexpected pod subresource \"{}\", only 'status' and 'eviction' are allowed", w.subresource);
  if (old.is_null()) return mirror_pod(store, w, object);
  if (!object.is_null()) return fmt::format("node \"{}\" can only create and delete mirror pods", w.node);
  if (bound != w.node) return fmt::format("node \"{}\" can only delete pods with spec.nodeName set to itself", w.node);
  return {};
}

Denial on_claim(const NodeWrite& w, const Value& object, const Value& old) {
  if (w.subresource != "status" || object.is_null() || old.is_null()) return "may only update PVC status";
  schema::Arena arena;
  Value now = object.clone(arena), before = old.clone(arena);
  for (Value* claim : {&now, &before}) {
    if (Value* metadata = claim->find("metadata")) {
      metadata->erase("resourceVersion");
      metadata->erase("managedFields");
    }
    if (Value* status = claim->find("status")) {
      for (const char* field : {"capacity", "conditions", "allocatedResources", "allocatedResourceStatuses"})
        status->erase(field);
      if (status->empty()) claim->erase("status");
    }
  }
  if (now.equals(before)) return {};
  return fmt::format("node \"{}\" is not allowed to update fields other than status.capacity and status.conditions",
                     w.node);
}

}  // namespace

Denial node_restriction(const store::Store& store, const NodeWrite& w, const Value& object, const Value& old) {
  if (w.group.empty()) {
    if (w.resource == "nodes") return on_node(w, object, old);
    if (w.resource == "pods") return on_pod(store, w, object, old);
    if (w.resource == "persistentvolumeclaims") return on_claim(w, object, old);
    return {};
  }
  if (w.group == "coordination.k8s.io" && w.resource == "leases") {
    if (w.namespace_ != "kube-node-lease")
      return fmt::format("can only access leases in the \"kube-node-lease\" system namespace, not \"{}\"",
                         w.namespace_);
    if (w.name != w.node) return "can only access node lease with the same name as the requesting node";
  }
  if (w.group == "storage.k8s.io" && w.resource == "csinodes" && w.name != w.node)
    return "can only access CSINode with the same name as the requesting node";
  return {};
}

}  // namespace redoubt::apiserver
