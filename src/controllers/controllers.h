// One maker a controller; each in the folder of its name.
#pragma once
#include <memory>

#include "controllers/controller.h"
#include "controllers/node_lifecycle/health.h"
#include "pki/certificate.h"

namespace redoubt::controllers {

// A "default" ServiceAccount in every namespace.
std::unique_ptr<Controller> make_service_account(client::Client& api, Informers& informers);
// The ConfigMap kube-root-ca.crt in every namespace, with the CA that pods verify the API server by.
std::unique_ptr<Controller> make_root_ca(client::Client& api, Informers& informers, std::string ca_pem);

struct CertificateOptions {
  pki::KeyPair client_ca;
  pki::KeyPair kubelet_ca;
  std::vector<std::string> node_address_allow;  // CIDRs
};
// Approves kubelets' requests where the rules allow it, and signs what is approved.
std::unique_ptr<Controller> make_certificates(client::Client& api, Informers& informers, CertificateOptions options);
std::unique_ptr<Controller> make_replica_set(client::Client& api, Informers& informers);
std::unique_ptr<Controller> make_deployment(client::Client& api, Informers& informers);
// Endpoints of Services with a selector.
std::unique_ptr<Controller> make_endpoints(client::Client& api, Informers& informers);
// EndpointSlices of Services with a selector.
std::unique_ptr<Controller> make_endpoint_slices(client::Client& api, Informers& informers);
// EndpointSlices of Endpoints that somebody else writes, for Services without a selector.
std::unique_ptr<Controller> make_endpoint_slice_mirroring(client::Client& api, Informers& informers);
// Empties namespaces that are being deleted, then lets them go.
std::unique_ptr<Controller> make_namespaces(client::Client& api, Informers& informers);
// Deletes what lost its owners; honours foreground deletion and orphaning.
std::unique_ptr<Controller> make_garbage(client::Client& api);

struct NodeLifecycleOptions {
  std::chrono::milliseconds monitor_period{5'000};  // --node-monitor-period
  std::chrono::seconds monitor_grace{40};           // --node-monitor-grace-period: silence after which Ready is Unknown
  std::chrono::seconds startup_grace{60};           // --node-startup-grace-period: the same before the first word
  ZoneLimits zones;
};
// Marks nodes that went silent, taints them, and evicts their pods.
std::unique_ptr<Controller> make_node_lifecycle(client::Client& api, Informers& informers,
                                                NodeLifecycleOptions options = {});
// Ends pods that nobody else can end: of nodes that are gone, or long since finished.
std::unique_ptr<Controller> make_pod_gc(client::Client& api, Informers& informers);
// Gives each node its part of the pods' network.
std::unique_ptr<Controller> make_node_ipam(client::Client& api, Informers& informers, std::string cluster_cidr);

}  // namespace redoubt::controllers
