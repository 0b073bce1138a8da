// What a kubelet may do, and nothing more: its own Node, Lease and CSINode, the pods bound to it, and the objects that
// those pods use (node -> pod -> secret, configmap, claim, service account), each by its name.
//
// The graph is not kept: it is read off the store's newest snapshot, so that it is never behind a binding that the
// kubelet already heard of. What a pod uses is worked out once for each revision of the pod. Any thread.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "apiserver/auth/attributes.h"
#include "apiserver/auth/user.h"
#include "store/store.h"

namespace redoubt::apiserver {

class NodeAuthorizer {
 public:
  explicit NodeAuthorizer(const store::Store& store) : store_(store) {}
  // Allowed, or no opinion (with a reason for the log).
  Decision authorize(const UserInfo& user, const Attributes& attributes) const;

 private:
  // "secrets NAME", "configmaps NAME", ...; sorted.
  using Uses = std::vector<std::string>;
  struct Cached {
    store::Revision revision = 0;
    std::shared_ptr<const Uses> uses;
  };
  std::shared_ptr<const Uses> uses_of(const store::ObjectPtr& pod) const;
  bool pod_on_node_uses(std::string_view node, std::string_view resource, std::string_view ns,
                        std::string_view name) const;
  bool is_on_node(std::string_view node, std::string_view ns, std::string_view pod) const;
  bool volume_is_used(std::string_view node, std::string_view volume) const;
  bool attachment_is_for(std::string_view node, std::string_view attachment) const;

  const store::Store& store_;
  mutable std::mutex mutex_;  // guards the cache
  mutable std::unordered_map<std::string, Cached> cache_;
};

}  // namespace redoubt::apiserver
