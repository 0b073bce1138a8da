// redoubt konnectivity-server and konnectivity-agent: upstream's proxy-server and proxy-agent.
#include <CLI/CLI.hpp>

#include "cmd/commands/commands.h"
#include "cmd/konnectivity/options.h"

namespace redoubt::cmd {

namespace {

template <class Options>
Command make(CLI::App& program, const char* name, const char* help, void (*add_flags)(CLI::App&, Options&),
             Result<void> (*run)(Options)) {
  CLI::App* command = program.add_subcommand(name, help);
  auto options = std::make_shared<Options>();
  add_flags(*command, *options);
  return {command, [options, run] {
            auto done = run(*options);
            return done ? 0 : fail(done.error());
          }};
}

}  // namespace

Command make_konnectivity_server_command(CLI::App& program) {
  return make(program, "konnectivity-server",
              "the proxy server: API servers reach the cluster through agents that dialled it",
              add_konnectivity_server_flags, run_konnectivity_server);
}

Command make_konnectivity_agent_command(CLI::App& program) {
  return make(program, "konnectivity-agent", "the agent: dials proxy servers, and the cluster for them",
              add_konnectivity_agent_flags, run_konnectivity_agent);
}

}  // namespace redoubt::cmd
