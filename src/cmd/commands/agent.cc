// redoubt agent: a node.
#include <CLI/CLI.hpp>

#include "cmd/commands/commands.h"
#include "cmd/companions.h"
#include "cmd/flags/flags.h"
#include "kubelet/kubelet.h"

namespace redoubt::cmd {

Command make_agent_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("agent", "a node: joins a server and runs pods");
  struct Options {
    kubelet::Options agent;
    CompanionOptions companions;
    std::string data_dir = "/var/lib/redoubt", run_dir = "/run/redoubt";
  };
  auto options = std::make_shared<Options>();
  command->add_option("--data-dir", options->data_dir, "where certificates and pods' volumes are kept")
      ->capture_default_str();
  command->add_option("--server", options->agent.server, "the API server's URL")->required();
  command->add_option("--token", options->agent.bootstrap_token, "bootstrap token, for the first start");
  command->add_option("--discovery-token-ca-cert-hash", options->agent.ca_hashes,
                      "sha256:HEX of the cluster's CA, for the first start");
  add_agent_flags(*command, options->agent, options->run_dir);
  command->add_flag("--disable-kube-proxy", options->companions.disable_kube_proxy,
                    "another program serves Services on this node");
  command->add_option("--cluster-cidr", options->companions.cluster_cidr, "network of pods' addresses")
      ->capture_default_str();
  return {command, [options] {
            complete_agent_options(options->agent, options->data_dir, options->run_dir);
            add_companions(options->companions, options->agent);
            auto node = kubelet::Kubelet::start(options->agent);
            if (!node) return fail(node.error());
            wait_for_signal();
            node->reset();
            return 0;
          }};
}

}  // namespace redoubt::cmd
