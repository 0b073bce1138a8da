// Flags of the control plane.
#include <CLI/CLI.hpp>

#include "cmd/flags/flags.h"

namespace redoubt::cmd {

void add_server_flags(CLI::App& command, ServerOptions& options) {
  command.add_option("--data-dir", options.data_dir, "where keys, certificates and the database are kept")
      ->capture_default_str();
  command.add_option("--bind-address", options.bind_address, "address of the secure port")->capture_default_str();
  command.add_option("--secure-port", options.secure_port, "the one HTTPS port")->capture_default_str();
  command.add_option("--advertise-address", options.advertise_address,
                     "address that nodes and pods reach the API server by (default: the default route's)");
  command
      .add_option("--service-cluster-ip-range", options.service_cluster_ip_range,
                  "network of Services' virtual addresses, or one of IPv4 and one of IPv6 with a comma between")
      ->capture_default_str();
  command
      .add_option("--service-node-port-range", options.service_node_port_range,
                  "ports of nodes that Services may have, the first and the last")
      ->capture_default_str();
  command.add_option("--cluster-cidr", options.cluster_cidr, "network of pods' addresses")->capture_default_str();
  command.add_option("--write-kubeconfig", options.write_kubeconfig,
                     "where the administrator's kubeconfig goes (default: DATA-DIR/admin.kubeconfig)");
  command.add_option("--tls-san", options.tls_sans, "further name or address in the API server's certificate");
  command.add_option("--max-requests-inflight", options.max_requests_inflight, "reading requests under way at once")
      ->capture_default_str();
  command
      .add_option("--max-mutating-requests-inflight", options.max_mutating_requests_inflight,
                  "writing requests under way at once")
      ->capture_default_str();
  command.add_option("--node-address-allow", options.node_address_allow,
                     "CIDR whose addresses kubelets' serving certificates may carry");
  add_authentication_flags(command, options.authentication);
  add_authorization_flags(command, options.authorization);
  add_egress_flags(command, options.egress);
  add_tls_flags(command, options);
  add_signing_flags(command, options.signing);
  add_connect_flags(command, options.connect);
  add_audit_flags(command, options.audit);
  command.add_option(
      "--encryption-provider-config", options.encryption_provider_config,
      "what is encrypted on disk, and with which keys (default: Secrets, with a key of this installation "
      "under DATA-DIR/pki/encryption)");
  command.add_flag("--encryption-provider-config-automatic-reload", options.encryption_provider_config_automatic_reload,
                   "take a changed configuration without a restart");
}

}  // namespace redoubt::cmd
