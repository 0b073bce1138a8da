// Flags of the ways from the server to the cluster.
#include <CLI/CLI.hpp>

#include "cmd/flags/flags.h"

namespace redoubt::cmd {

namespace {

void add_konnectivity_flags(CLI::App& c, KonnectivityInProcess& o) {
  c.add_option("--konnectivity-agent-port", o.agent_port,
               "serve konnectivity-agents on this port (usual: 8132), and reach nodes, pods and Services through them; "
               "they show a node's certificate or a ServiceAccount's token. 0: off")
      ->capture_default_str();
  c.add_option("--konnectivity-agent-bind-address", o.agent_bind_address, "address for agents; empty: all");
  c.add_option("--konnectivity-agent-namespace", o.agent_namespace, "namespace of the agents' ServiceAccount")
      ->capture_default_str();
  c.add_option("--konnectivity-agent-service-account", o.agent_service_account, "the agents' ServiceAccount")
      ->capture_default_str();
  c.add_option("--konnectivity-authentication-audience", o.authentication_audience, "audience of the agents' tokens")
      ->capture_default_str();
  c.add_option("--konnectivity-proxy-strategies", o.proxy_strategies,
               "which agent is asked where the node has none of its own, in order: destHost, defaultRoute, default")
      ->capture_default_str();
  c.add_option("--konnectivity-server-count", o.server_count, "how many API servers agents should connect to")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

}  // namespace

void add_egress_flags(CLI::App& command, EgressOptions& options) {
  command.add_option("--egress-selector-config-file", options.config_file,
                     "EgressSelectorConfiguration that says how nodes, cluster, control plane and etcd are reached "
                     "(default: nodes and cluster by reverse tunnels)");
  command
      .add_option(
          "--nodes-without-tunnel", options.without_tunnel,
          "direct: a node without a tunnel is dialled directly where the connection is verified TLS, plain text "
          "never; refuse: it is not dialled")
      ->check(CLI::IsMember({"direct", "refuse"}))
      ->capture_default_str();
  command.add_option("--ssh-user", options.ssh_user,
                     "reach nodes, pods and Services by SSH, as this user of the nodes");
  command.add_option("--ssh-keyfile", options.ssh_keyfile,
                     "private key of --ssh-user, without passphrase; a new one is used without a restart");
  command.add_option(
      "--ssh-known-hosts", options.ssh_known_hosts,
      "OpenSSH's known_hosts: the host keys of nodes. Nodes it doesn't name may show the keys that their "
      "Node objects publish, others none");
  command.add_option("--ssh-port", options.ssh_port, "port of the nodes' sshd")->capture_default_str();
  add_konnectivity_flags(command, options.konnectivity);
}

}  // namespace redoubt::cmd
