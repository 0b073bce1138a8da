// redoubt server: the control plane.
#include <CLI/CLI.hpp>

#include "cmd/commands/commands.h"
#include "cmd/flags/flags.h"

namespace redoubt::cmd {

Command make_server_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("server", "the control plane: API server, controllers, scheduler, store");
  auto options = std::make_shared<ServerOptions>();
  add_server_flags(*command, *options);
  return {command, [options] {
            auto started = Server::start(*options);
            if (!started) return fail(started.error());
            wait_for_signal();
            (*started)->stop();
            return 0;
          }};
}

}  // namespace redoubt::cmd
