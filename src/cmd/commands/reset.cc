// redoubt reset: cleans a node up.
#include <CLI/CLI.hpp>
#include <filesystem>

#include "cmd/commands/commands.h"
#include "cmd/flags/flags.h"
#include "cmd/up.h"

namespace redoubt::cmd {

Command make_reset_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("reset", "remove what a node left: pods, containerd, mounts, interfaces");
  struct Options {
    std::string data_dir = "/var/lib/redoubt", run_dir = "/run/redoubt";
    bool keep_data = false;
  };
  auto options = std::make_shared<Options>();
  command->add_option("--data-dir", options->data_dir)->capture_default_str();
  command->add_option("--run-dir", options->run_dir)->capture_default_str();
  command->add_flag("--keep-data", options->keep_data, "keep the database, keys and images");
  return {command, [options] {
            kubelet::Options agent;
            complete_agent_options(agent, options->data_dir, options->run_dir);
            if (auto done = reset_machine(agent); !done) return fail(done.error());
            std::error_code ignored;
            if (!options->keep_data) std::filesystem::remove_all(options->data_dir, ignored);
            return 0;
          }};
}

}  // namespace redoubt::cmd
