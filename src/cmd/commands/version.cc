// redoubt version.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "cmd/commands/commands.h"

namespace redoubt::cmd {

Command make_version_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("version", "print the version");
  return {command, [] {
            std::puts("redoubt 0.1.0 (Kubernetes v1.35.4)");
            return 0;
          }};
}

}  // namespace redoubt::cmd
