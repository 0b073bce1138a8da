// redoubt konnectivity-agent: upstream's proxy-agent.
#include <CLI/CLI.hpp>

#include "cmd/commands/commands.h"
#include "cmd/konnectivity/options.h"

namespace redoubt::cmd {

Command make_konnectivity_agent_command(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("konnectivity-agent", "the agent: dials proxy servers, and the cluster for them");
  auto options = std::make_shared<KonnectivityAgentOptions>();
  add_konnectivity_agent_flags(*command, *options);
  return {command, [options] {
            auto done = run_konnectivity_agent(*options);
            return done ? 0 : fail(done.error());
          }};
}

}  // namespace redoubt::cmd
