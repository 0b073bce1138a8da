#include "apiserver/auth/node_authorizer.h"

#include <algorithm>

#include "apiserver/auth/pod_references.h"
#include "base/log.h"
#include "schema/k8s/core_v1.h"
#include "schema/k8s/storage_v1.h"
#include "schema/typed.h"

namespace redoubt::apiserver {

namespace {

// Pods whose uses are remembered; some 200 bytes each. Beyond it the cache starts afresh.
constexpr size_t kMaxCachedPods = 50'000;

bool one_of(std::string_view value, std::initializer_list<std::string_view> list) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

bool bound_to(const store::Object& pod, std::string_view node) {
  return std::any_of(pod.fields.begin(), pod.fields.end(),
                     [&](const auto& f) { return f.first == "spec.nodeName" && f.second == node; });
}

bool pinned(const Attributes& a, std::string_view field, std::string_view value) {
  return std::any_of(a.field_equals.begin(), a.field_equals.end(),
                     [&](const auto& f) { return f.first == field && f.second == value; });
}

}  // namespace

std::shared_ptr<const NodeAuthorizer::Uses> NodeAuthorizer::uses_of(const store::ObjectPtr& object) const {
  {
    std::lock_guard lock(mutex_);
    auto it = cache_.find(object->key);
    if (it != cache_.end() && it->second.revision == object->revision) return it->second.uses;
  }
  auto uses = std::make_shared<Uses>();
  if (auto pod = schema::from_json<k8s::core::v1::Pod>(object->json)) {
    // A kubelet makes mirror pods itself: they must not open anything to it.
    if (!pod->metadata.annotations.contains(std::string(kMirrorPodAnnotation))) {
      for (const PodReference& reference : pod_references(*pod)) {
        uses->push_back(std::string(reference.resource) + " " + reference.name);
      }
      std::sort(uses->begin(), uses->end());
    }
  } else {
    log_error("a stored pod can't be read", {{"key", object->key}, {"error", pod.error().message()}});
  }
  std::lock_guard lock(mutex_);
  if (cache_.size() >= kMaxCachedPods) cache_.clear();
  cache_[object->key] = {object->revision, uses};
  return uses;
}

bool NodeAuthorizer::pod_on_node_uses(std::string_view node, std::string_view resource, std::string_view ns,
                                      std::string_view name) const {
  if (ns.empty() || name.empty()) return false;
  bool found = false;
  std::string wanted = fmt::format("{} {}", resource, name);
  store_.snapshot("pods")->visit(fmt::format("/registry/pods/{}/", ns), "", [&](const store::ObjectPtr& pod) {
    if (!bound_to(*pod, node)) return true;
    auto uses = uses_of(pod);
    found = std::binary_search(uses->begin(), uses->end(), wanted);
    return !found;
  });
  return found;
}

bool NodeAuthorizer::is_on_node(std::string_view node, std::string_view ns, std::string_view pod) const {
  auto object = store_.snapshot("pods")->find(fmt::format("/registry/pods/{}/{}", ns, pod));
  return object && bound_to(*object, node);
}

bool NodeAuthorizer::volume_is_used(std::string_view node, std::string_view volume) const {
  auto object = store_.snapshot("persistentvolumes")->find(fmt::format("/registry/persistentvolumes/{}", volume));
  if (!object) return false;
  auto parsed = schema::from_json<k8s::core::v1::PersistentVolume>(object->json);
  return parsed && parsed->spec.claimRef &&
         pod_on_node_uses(node, "persistentvolumeclaims", parsed->spec.claimRef->namespace_,
                          parsed->spec.claimRef->name);
}

bool NodeAuthorizer::attachment_is_for(std::string_view node, std::string_view attachment) const {
  auto object = store_.snapshot("volumeattachments")->find(fmt::format("/registry/volumeattachments/{}", attachment));
  if (!object) return false;
  auto parsed = schema::from_json<k8s::storage::v1::VolumeAttachment>(object->json);
  return parsed && parsed->spec.nodeName == node;
}

Decision NodeAuthorizer::authorize(const UserInfo& user, const Attributes& a) const {
  std::string_view node = user.node_name();
  if (node.empty() || !a.resource_request) return {};
  auto allow = [](bool yes) { return Decision{yes, ""}; };
  auto related = [&](bool yes) {
    return yes ? Decision{true, ""}
               : Decision{false, fmt::format("no relationship found between node '{}' and this object", node)};
  };
  bool read = one_of(a.verb, {"get", "list", "watch"});
  bool whole = a.subresource.empty();
  const std::string& group = a.api_group;

  if (group.empty()) {
    if (a.resource == "secrets" || a.resource == "configmaps") {
      if (!read || !whole || a.name.empty()) return {};
      return related(pod_on_node_uses(node, a.resource, a.namespace_, a.name));
    }
    if (a.resource == "persistentvolumeclaims") {
      bool get = whole && a.verb == "get";
      bool status = a.subresource == "status" && one_of(a.verb, {"update", "patch"});
      if (!get && !status) return {};
      return related(pod_on_node_uses(node, a.resource, a.namespace_, a.name));
    }
    if (a.resource == "persistentvolumes") {
      if (!whole || a.verb != "get" || a.name.empty()) return {};
      return related(volume_is_used(node, a.name));
    }
    if (a.resource == "serviceaccounts") {
      bool token = a.subresource == "token" && a.verb == "create";
      if (!token && !(whole && a.verb == "get")) return {};
      return related(pod_on_node_uses(node, a.resource, a.namespace_, a.name));
    }
    if (a.resource == "nodes") {
      // NodeRestriction sees to it that a write is to the node's own.
      if (a.subresource == "status") return allow(one_of(a.verb, {"update", "patch"}));
      // The way back to a node is its own to open.
      if (a.subresource == "tunnel") {
        if (a.verb == "create" && a.name == node) return allow(true);
        return {false, fmt::format("node '{}' can only open a tunnel for itself", node)};
      }
      if (!whole) return {};
      if (one_of(a.verb, {"create", "update", "patch"})) return allow(true);
      return allow(read && (a.name == node || (a.name.empty() && pinned(a, "metadata.name", node))));
    }
    if (a.resource == "pods") {
      if (a.subresource == "status") return allow(one_of(a.verb, {"update", "patch"}));
      if (a.subresource == "eviction") return allow(a.verb == "create");
      if (!whole) return {};
      if (one_of(a.verb, {"create", "delete"})) return allow(true);
      if (!read) return {};
      if (a.verb != "get" && pinned(a, "spec.nodeName", node)) return allow(true);
      if (a.name.empty()) return {false, "can only list/watch pods with spec.nodeName field selector"};
      return related(is_on_node(node, a.namespace_, a.name));
    }
    if (a.resource == "services") return allow(read && whole);
    if (a.resource == "events") return allow(whole && one_of(a.verb, {"create", "update", "patch"}));
    return {};
  }
  bool own = a.verb == "create" || (a.name == node && one_of(a.verb, {"get", "update", "patch", "delete"}));
  if (group == "coordination.k8s.io" && a.resource == "leases")
    return allow(whole && a.namespace_ == "kube-node-lease" && own);
  if (group == "events.k8s.io" && a.resource == "events")
    return allow(whole && one_of(a.verb, {"create", "update", "patch"}));
  if (group == "certificates.k8s.io" && a.resource == "certificatesigningrequests")
    return allow(whole && one_of(a.verb, {"create", "get", "list", "watch"}));
  if (group == "authentication.k8s.io" && a.resource == "tokenreviews") return allow(a.verb == "create");
  if (group == "authorization.k8s.io" && one_of(a.resource, {"subjectaccessreviews", "localsubjectaccessreviews"}))
    return allow(a.verb == "create");
  // Where the API servers are, for tunnels to each.
  if (group == "discovery.k8s.io" && a.resource == "endpointslices")
    return allow(whole && a.verb == "get" && a.namespace_ == "default" && a.name == "kubernetes");
  if (group == "node.k8s.io" && a.resource == "runtimeclasses") return allow(read && whole);
  if (group == "storage.k8s.io") {
    if (a.resource == "csidrivers") return allow(read && whole);
    if (a.resource == "csinodes") return allow(whole && own);
    if (a.resource == "volumeattachments") {
      if (!whole || a.verb != "get" || a.name.empty()) return {};
      return related(attachment_is_for(node, a.name));
    }
    return {};
  }
  if (group == "resource.k8s.io" && a.resource == "resourceclaims") {
    if (!whole || a.verb != "get") return {};
    return related(pod_on_node_uses(node, a.resource, a.namespace_, a.name));
  }
  return {};
}

}  // namespace redoubt::apiserver
