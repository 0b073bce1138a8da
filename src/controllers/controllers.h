// One maker a controller; each in the folder of its name.
#pragma once
#include <chrono>
#include <functional>
#include <memory>

#include "controllers/controller.h"
#include "controllers/node_lifecycle/health.h"
#include "pki/certificate.h"

namespace redoubt::controllers {

// The rules of ClusterRoles that are the sum of others.
std::unique_ptr<Controller> make_cluster_role_aggregation(client::Client& api);
// A "default" ServiceAccount in every namespace.
std::unique_ptr<Controller> make_service_account(client::Client& api, Informers& informers);
// A controller that publishes something which changes while it runs (authorities, when they are rotated).
template <class T>
class Publisher : public Controller {
 public:
  // On the controller's loop.
  virtual void replace(T published) = 0;
};

// The ConfigMap kube-root-ca.crt in every namespace, with the CA bundle that pods verify the API server by.
std::unique_ptr<Publisher<std::string>> make_root_ca(client::Client& api, Informers& informers, std::string ca_pem);

// Approves kubelets' certificate requests where the rules allow it, and says in an Event why one waits for a person.
// `node_address_allow` are CIDRs, --node-address-allow.
std::unique_ptr<Controller> make_certificate_approver(client::Client& api, Informers& informers,
                                                      std::vector<std::string> node_address_allow);
struct SigningAuthorities {
  pki::KeyPair client;          // kubernetes.io/kube-apiserver-client
  pki::KeyPair kubelet_client;  // kubernetes.io/kube-apiserver-client-kubelet
  pki::KeyPair kubelet_serving;
};
// Signs what is approved, with the authorities of that moment.
std::unique_ptr<Controller> make_certificate_signer(client::Client& api, Informers& informers,
                                                    std::function<SigningAuthorities()> authorities,
                                                    std::chrono::seconds duration);
// Deletes requests that are over: issued, denied, failed, never approved, expired.
std::unique_ptr<Controller> make_certificate_cleaner(client::Client& api, Informers& informers);

// What a node that joins is told: ConfigMap kube-public/cluster-info.
struct ClusterInfo {
  std::string server;             // "https://10.0.0.1:6443"
  std::string ca_bundle;          // of the API server
  std::string kubelet_ca_bundle;  // of kubelets' serving certificates
  std::string client_ca_bundle;   // of the API server's clients; the first signs for kubelets
  bool operator==(const ClusterInfo&) const = default;
};
// Publishes cluster-info, signed with each bootstrap token that may sign (jws-kubeconfig-ID).
std::unique_ptr<Publisher<ClusterInfo>> make_bootstrap_signer(client::Client& api, ClusterInfo info);
// Deletes bootstrap tokens at their end.
std::unique_ptr<Controller> make_token_cleaner(client::Client& api);
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

// Marks ServiceCIDRs ready; holds one that is being deleted while Services have addresses that only it covers.
std::unique_ptr<Controller> make_service_cidrs(client::Client& api);

}  // namespace redoubt::controllers
