// redoubt konnectivity-server: upstream's proxy-server.
#include <CLI/CLI.hpp>

#include "cmd/commands/commands.h"
#include "cmd/konnectivity/options.h"

namespace redoubt::cmd {

Command make_konnectivity_server_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "konnectivity-server", "the proxy server: API servers reach the cluster through agents that dialled it");
  auto options = std::make_shared<KonnectivityServerOptions>();
  add_konnectivity_server_flags(*command, *options);
  return {command, [options] {
            auto done = run_konnectivity_server(*options);
            return done ? 0 : fail(done.error());
          }};
}

}  // namespace redoubt::cmd
