// redoubt agent: a node; redoubt join: its first start.
#include <CLI/CLI.hpp>

#include "cmd/commands/commands.h"
#include "cmd/companions.h"
#include "cmd/flags/flags.h"
#include "kubelet/kubelet.h"
#include "kubelet/node/join.h"

namespace redoubt::cmd {

namespace {

struct AgentCommand {
  kubelet::Options agent;
  CompanionOptions companions;
  std::string data_dir = "/var/lib/redoubt", run_dir = "/run/redoubt";
  bool identity_only = false;
};

void add_network_flags(CLI::App& command, CompanionOptions& options) {
  add_companion_flags(command, options);
  command.add_option("--cluster-cidr", options.cluster_cidr, "network of pods' addresses")->capture_default_str();
}

int run_agent(AgentCommand& c) {
  complete_agent_options(c.agent, c.data_dir, c.run_dir);
  // What a person typed is checked before anything is started for it.
  bool given = !c.agent.bootstrap_token.empty() || !c.agent.ca_hashes.empty();
  if (given && c.agent.bootstrap_kubeconfig.empty() && kubelet::needs_bootstrap(c.agent)) {
    if (auto right = kubelet::check_bootstrap(c.agent); !right) return fail(right.error());
  }
  if (c.identity_only) {
    auto joined = kubelet::Kubelet::join(c.agent);
    return joined ? 0 : fail(joined.error());
  }
  if (auto added = add_companions(c.companions, c.agent); !added) return fail(added.error());
  auto node = kubelet::Kubelet::start(c.agent);
  if (!node) return fail(node.error());
  wait_for_signal();
  node->reset();
  return 0;
}

}  // namespace

Command make_agent_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("agent", "a node: joins a server and runs pods");
  auto c = std::make_shared<AgentCommand>();
  command->add_option("--data-dir", c->data_dir, "where certificates and pods' volumes are kept")
      ->capture_default_str();
  command->add_option("--server", c->agent.server, "the API server's URL (default: the one it joined)");
  add_join_flags(*command, c->agent);
  add_agent_flags(*command, c->agent, c->run_dir);
  add_network_flags(*command, c->companions);
  return {command, [c] { return run_agent(*c); }};
}

Command make_join_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "join", "an agent's first start: gets the node's certificate by a token, then goes on as `redoubt agent`");
  auto c = std::make_shared<AgentCommand>();
  command->add_option("--data-dir", c->data_dir, "where certificates and pods' volumes are kept")
      ->capture_default_str();
  command->add_option("server", c->agent.server, "the API server's URL, https://HOST:6443")->required();
  add_join_flags(*command, c->agent);
  command->add_flag("--identity-only", c->identity_only,
                    "get the certificate and exit: `redoubt agent`, without a token, does the rest");
  add_agent_flags(*command, c->agent, c->run_dir);
  add_network_flags(*command, c->companions);
  return {command, [c] { return run_agent(*c); }};
}

}  // namespace redoubt::cmd
