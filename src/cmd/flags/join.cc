// Flags of a node's first start.
#include <CLI/CLI.hpp>

#include "cmd/flags/flags.h"

namespace redoubt::cmd {

void add_join_flags(CLI::App& command, kubelet::Options& options) {
  command.add_option("--token", options.bootstrap_token, "bootstrap token, for the first start");
  command
      .add_option("--discovery-token-ca-cert-hash", options.ca_hashes,
                  "sha256:HEX of the cluster's CA, for the first start; may be repeated")
      ->allow_extra_args(false);
  command.add_option("--ca-file", options.ca_file, "the cluster's CA itself, instead of its hash");
  command.add_option("--bootstrap-kubeconfig", options.bootstrap_kubeconfig,
                     "kubeconfig with a credential for the first start, instead of a token and a hash");
  command.add_option("--kubeconfig", options.kubeconfig,
                     "where the joined node's kubeconfig is kept (default: DATA-DIR/kubelet/kubeconfig)");
}

}  // namespace redoubt::cmd
