#include <map>

#include "apiserver/resources/hooks.h"
#include "apiserver/resources/kinds.h"

namespace redoubt::apiserver {

const KindHooks& hooks_for(std::string_view group, std::string_view resource) {
  using Key = std::pair<std::string_view, std::string_view>;
  static const KindHooks generic;
  static const auto* table = new std::map<Key, KindHooks>{
      {{"", "pods"}, pod_hooks()},
      {{"", "namespaces"}, namespace_hooks()},
      {{"", "nodes"}, node_hooks()},
      {{"", "services"}, service_hooks()},
      {{"", "endpoints"}, endpoints_hooks()},
      {{"", "configmaps"}, config_map_hooks()},
      {{"", "secrets"}, secret_hooks()},
      {{"", "events"}, event_hooks()},
      {{"events.k8s.io", "events"}, event_hooks()},
      {{"", "replicationcontrollers"}, replication_controller_hooks()},
      {{"apps", "deployments"}, deployment_hooks()},
      {{"apps", "replicasets"}, replica_set_hooks()},
      {{"apps", "daemonsets"}, daemon_set_hooks()},
      {{"apps", "statefulsets"}, stateful_set_hooks()},
      {{"batch", "jobs"}, job_hooks()},
      {{"batch", "cronjobs"}, cron_job_hooks()},
      {{"certificates.k8s.io", "certificatesigningrequests"}, csr_hooks()},
      {{"rbac.authorization.k8s.io", "roles"}, rbac_hooks()},
      {{"rbac.authorization.k8s.io", "clusterroles"}, rbac_hooks()},
      {{"rbac.authorization.k8s.io", "rolebindings"}, rbac_binding_hooks()},
      {{"rbac.authorization.k8s.io", "clusterrolebindings"}, rbac_binding_hooks()},
      {{"coordination.k8s.io", "leases"}, lease_hooks()},
      {{"discovery.k8s.io", "endpointslices"}, endpoint_slice_hooks()},
      {{"networking.k8s.io", "networkpolicies"}, network_policy_hooks()},
      {{"admissionregistration.k8s.io", "mutatingwebhookconfigurations"}, mutating_webhook_hooks()},
      {{"admissionregistration.k8s.io", "validatingwebhookconfigurations"}, validating_webhook_hooks()},
      {{"networking.k8s.io", "servicecidrs"}, service_cidr_hooks()},
      {{"networking.k8s.io", "ipaddresses"}, ip_address_hooks()},
      {{"apiregistration.k8s.io", "apiservices"}, api_service_hooks()},
  };
  auto it = table->find(Key{group, resource});
  return it == table->end() ? generic : it->second;
}

}  // namespace redoubt::apiserver
