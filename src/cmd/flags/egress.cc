// Flags of the ways from the server to the cluster.
#include <CLI/CLI.hpp>

#include "cmd/flags/flags.h"

namespace redoubt::cmd {

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
}

}  // namespace redoubt::cmd
