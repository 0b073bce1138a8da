// What a proxied request is to reach: the node, pod or endpoint of a Service that its name means, as the stored objects
// say it, with the same errors as upstream gives.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/proxy/address_guard.h"
#include "apiserver/proxy/backend_trust.h"
#include "apiserver/proxy/kubelet_access.h"
#include "apiserver/proxy/proxy_url.h"
#include "egress/dialer.h"

namespace redoubt::apiserver {

// Where objects come from: any thread, no waiting.
struct BackendObjects {
  // The stored JSON; NotFound as users know it. `resource` is the storage's: "pods", "minions", "services/specs".
  std::function<Result<Bytes>(std::string_view resource, std::string_view ns, std::string_view name)> find;
  // Calls `visit` for each EndpointSlice of a Service.
  std::function<void(std::string_view ns, std::string_view service, const std::function<void(const Bytes&)>& visit)>
      endpoint_slices;
};

struct Backend {
  egress::PathId path = egress::PathId::ApiserverPod;
  std::string node;      // where it runs; may be unknown
  net::Address address;  // an IP literal, except for a node that has names only
  bool tls = false;
  bool kubelet = false;             // the node's own kubelet: verified as such
  std::string default_server_name;  // of its certificate, where no annotation says another
  std::optional<BackendTrust> trust;
};

// One or, for a Service, several to be tried in turn. `seed` picks where a Service's endpoints begin.
Result<std::vector<Backend>> node_backends(const ProxyName& name, const KubeletAccess& kubelets,
                                           const BackendObjects& objects, const TrustSources& trust);
Result<std::vector<Backend>> pod_backends(const ProxyName& name, std::string_view ns, const BackendObjects& objects,
                                          const TrustSources& trust);
Result<std::vector<Backend>> service_backends(const ProxyName& name, std::string_view ns, std::string_view id,
                                              size_t seed, const BackendObjects& objects, const TrustSources& trust);

}  // namespace redoubt::apiserver
