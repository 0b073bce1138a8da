// Which addresses stand behind a Service, from its pods: the part that Endpoints and EndpointSlices share.
//
// Pure; semantics are upstream's (k8s.io/endpointslice, pkg/controller/endpoint).
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controllers/controller.h"

namespace redoubt::controllers {

namespace discovery = k8s::discovery::v1;

using PodPtr = std::shared_ptr<const core::Pod>;

inline constexpr const char* kServiceNameLabel = "kubernetes.io/service-name";
inline constexpr const char* kSliceManagedBy = "endpointslice.kubernetes.io/managed-by";
inline constexpr const char* kHeadlessLabel = "service.kubernetes.io/headless";
inline constexpr const char* kSliceController = "endpointslice-controller.k8s.io";
inline constexpr const char* kMirrorController = "endpointslicemirroring-controller.k8s.io";

// Endpoints of one address type that share one list of ports.
struct EndpointGroup {
  std::string address_type;  // "IPv4", "IPv6", "FQDN"
  std::vector<discovery::EndpointPort> ports;
  std::vector<discovery::Endpoint> endpoints;
};

bool selects(const std::map<std::string, std::string>& selector, const std::map<std::string, std::string>& labels);
bool is_headless(const core::Service& service);
// "IPv6" for what has a colon, else "IPv4".
std::string address_type_of(std::string_view ip);
// The service's address types; both for a headless one that does not say.
std::vector<std::string> address_types(const core::Service& service);
// A pod that has an address and has not ended. `terminating`: also when it is being deleted.
bool can_be_endpoint(const core::Pod& pod, bool terminating);
// The pod's number for a Service's port; nothing when its name is unknown there.
std::optional<int32_t> target_port(const core::ServicePort& port, const core::Pod& pod);
// The ports that a Service has on this pod; those it can't resolve are left out.
std::vector<discovery::EndpointPort> ports_of(const core::Service& service, const core::Pod& pod);
// True when a change of the pod may change an endpoint.
bool endpoint_differs(const core::Pod& before, const core::Pod& after);
// The pod's hostname where it is part of the Service's DNS names.
std::optional<std::string> hostname_of(const core::Pod& pod, const core::Service& service);

// All groups of a Service, in a stable order: one for each address type and list of ports. `zone_of` names a node's
// zone (empty: unknown). Hints are set when the Service's trafficDistribution asks for them.
std::vector<EndpointGroup> group_endpoints(const core::Service& service, const std::vector<PodPtr>& pods,
                                           const std::function<std::string(const std::string& node)>& zone_of);

// The Endpoints object's subsets of a Service; at most `capacity` addresses in all, ready ones first. `truncated` says
// that some were left out.
std::vector<core::EndpointSubset> endpoint_subsets(const core::Service& service, const std::vector<PodPtr>& pods,
                                                   size_t capacity, bool& truncated);
// The groups that mirror an Endpoints object, at most `per_subset` addresses of each subset.
std::vector<EndpointGroup> mirror_endpoints(const core::Endpoints& endpoints, size_t per_subset);

}  // namespace redoubt::controllers
