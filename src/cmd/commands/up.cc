// redoubt up: everything for one machine.
#include "cmd/up.h"

#include <CLI/CLI.hpp>

#include "cmd/commands/commands.h"
#include "cmd/companions.h"
#include "cmd/flags/flags.h"
#include "kubelet/kubelet.h"

namespace redoubt::cmd {

Command make_up_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("up", "everything for one machine: server and agent");
  struct Options {
    ServerOptions server;
    kubelet::Options agent;
    CompanionOptions companions;
    std::string run_dir = "/run/redoubt";
  };
  auto options = std::make_shared<Options>();
  add_server_flags(*command, options->server);
  add_agent_flags(*command, options->agent, options->run_dir);
  add_companion_flags(*command, options->companions);
  return {command, [options] {
            auto server = Server::start(options->server);
            if (!server) return fail(server.error());
            if (options->agent.node_ip.empty()) options->agent.node_ip = (*server)->options().advertise_address;
            complete_agent_options(options->agent, options->server.data_dir, options->run_dir);
            if (auto ready = prepare_local_agent(**server, options->agent); !ready) return fail(ready.error());
            options->companions.cluster_cidr = options->server.cluster_cidr;
            if (auto added = add_companions(options->companions, options->agent); !added) return fail(added.error());
            auto node = kubelet::Kubelet::start(options->agent);
            if (!node) return fail(node.error());
            wait_for_signal();
            node->reset();
            (*server)->stop();
            return 0;
          }};
}

}  // namespace redoubt::cmd
