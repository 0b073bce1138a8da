// What every controller has: a client of its own identity, the shared informers it reads, and a task that runs until
// cancelled.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/task.h"
#include "client/client.h"
#include "client/informer.h"
#include "client/trim.h"
#include "client/work_queue.h"
#include "schema/k8s/apps_v1.h"
#include "schema/k8s/certificates_v1.h"
#include "schema/k8s/coordination_v1.h"
#include "schema/k8s/core_v1.h"
#include "schema/k8s/discovery_v1.h"

namespace redoubt::controllers {

namespace core = k8s::core::v1;
namespace apps = k8s::apps::v1;
namespace meta = k8s::meta::v1;

// The informers that controllers share: one list and one watch of each resource for the whole process. They read with
// the controller manager's identity; each controller writes with its own. Belongs to one loop.
struct Informers {
  explicit Informers(client::Client& api)
      : reader(api),
        namespaces(api),
        nodes(api),
        pods(api, {}, {}, client::trim_pod),
        services(api),
        service_accounts(api),
        replica_sets(api),
        deployments(api),
        requests(api),
        leases(api, "kube-node-lease"),
        endpoint_slices(api),
        endpoints(api) {}
  client::Client& reader;  // for a controller that watches something of its own
  client::Informer<core::Namespace> namespaces;
  client::Informer<core::Node> nodes;
  client::Informer<core::Pod> pods;
  client::Informer<core::Service> services;
  client::Informer<core::ServiceAccount> service_accounts;
  client::Informer<apps::ReplicaSet> replica_sets;
  client::Informer<apps::Deployment> deployments;
  client::Informer<k8s::certificates::v1::CertificateSigningRequest> requests;
  client::Informer<k8s::coordination::v1::Lease> leases;
  client::Informer<k8s::discovery::v1::EndpointSlice> endpoint_slices;
  client::Informer<core::Endpoints> endpoints;
};

class Controller {
 public:
  virtual ~Controller() = default;
  // Until cancelled. The informers run beside it.
  virtual Task<void> run() = 0;
};

// The controlling owner, if there is one.
inline const meta::OwnerReference* controller_of(const meta::ObjectMeta& metadata) {
  for (const auto& owner : metadata.ownerReferences) {
    if (owner.controller.value_or(false)) return &owner;
  }
  return nullptr;
}

// The reference by which `owner` controls what is made for it; its deletion waits for those in the foreground.
template <class T>
meta::OwnerReference owned_by(const T& owner) {
  meta::OwnerReference out;
  out.apiVersion = std::string(T::kApiVersion);
  out.kind = std::string(T::kKind);
  out.name = owner.metadata.name;
  out.uid = owner.metadata.uid;
  out.controller = true;
  out.blockOwnerDeletion = true;
  return out;
}

inline bool is_deleting(const meta::ObjectMeta& metadata) {
  return metadata.deletionTimestamp && !metadata.deletionTimestamp->is_zero();
}

inline bool is_ready(const core::Pod& pod) {
  for (const auto& condition : pod.status.conditions) {
    if (condition.type == "Ready") return condition.status == "True";
  }
  return false;
}

inline bool is_active(const core::Pod& pod) {
  return pod.status.phase != "Succeeded" && pod.status.phase != "Failed" && !is_deleting(pod.metadata);
}

std::pair<std::string, std::string> split_key(const std::string& key);
// A metav1.LabelSelector over a label map.
bool matches(const meta::LabelSelector& selector, const std::map<std::string, std::string>& labels);

}  // namespace redoubt::controllers
