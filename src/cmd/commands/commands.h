// The program's subcommands: one maker each, in the file of its name. main() knows nothing but this list.
#pragma once
#include <functional>
#include <string_view>

#include "base/status.h"

namespace CLI {
class App;
}

namespace redoubt::cmd {

// A subcommand that has added itself and its flags to the program, and what it does. `run` gives the exit status;
// SIGTERM and SIGINT are blocked in every thread when it is called, so that wait_for_signal() takes them.
struct Command {
  CLI::App* app = nullptr;
  std::function<int()> run;
};

Command make_server_command(CLI::App& program);
Command make_up_command(CLI::App& program);
Command make_agent_command(CLI::App& program);
Command make_konnectivity_server_command(CLI::App& program);
Command make_konnectivity_agent_command(CLI::App& program);
Command make_kube_proxy_command(CLI::App& program);
Command make_join_command(CLI::App& program);
Command make_token_command(CLI::App& program);
Command make_certs_command(CLI::App& program);
Command make_paths_command(CLI::App& program);
Command make_check_command(CLI::App& program);
Command make_reset_command(CLI::App& program);
Command make_version_command(CLI::App& program);

// ---- for commands ----

// Waits for SIGTERM or SIGINT. Blocking.
void wait_for_signal();
// Says what failed on standard error; 1.
int fail(const Status& status);

}  // namespace redoubt::cmd
