// One function a kind with something special about it; each in the file of its name.
#pragma once
#include "apiserver/resources/hooks.h"

namespace redoubt::apiserver {

KindHooks pod_hooks();
KindHooks namespace_hooks();
KindHooks node_hooks();
KindHooks service_hooks();
KindHooks endpoints_hooks();
KindHooks config_map_hooks();
KindHooks secret_hooks();
KindHooks event_hooks();
KindHooks replication_controller_hooks();
KindHooks deployment_hooks();
KindHooks replica_set_hooks();
KindHooks daemon_set_hooks();
KindHooks stateful_set_hooks();
KindHooks job_hooks();
KindHooks cron_job_hooks();
KindHooks csr_hooks();
KindHooks rbac_hooks();
KindHooks rbac_binding_hooks();
KindHooks lease_hooks();
KindHooks endpoint_slice_hooks();
KindHooks network_policy_hooks();
KindHooks mutating_webhook_hooks();
KindHooks validating_webhook_hooks();
KindHooks service_cidr_hooks();
KindHooks ip_address_hooks();
KindHooks api_service_hooks();

}  // namespace redoubt::apiserver
