// redoubt: one program, its subcommands.
#include <signal.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/log.h"
#include "cmd/commands/commands.h"

namespace redoubt::cmd {

void wait_for_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  int signal_number = 0;
  sigwait(&set, &signal_number);
  log_info("stopping", {{"signal", signal_number}});
}

int fail(const Status& status) {
  std::fprintf(stderr, "error: %s\n", status.message().c_str());
  return 1;
}

namespace {

// Before any thread starts: only who waits for a signal takes it.
void block_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

// A stream is a descriptor or two: what the administrator allows is used, as by programs in Go, not the shell's 1,024.
void raise_open_files() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

LogLevel log_level(const std::string& name) {
  return name == "debug"     ? LogLevel::Debug
         : name == "warning" ? LogLevel::Warning
         : name == "error"   ? LogLevel::Error
                             : LogLevel::Info;
}

int run(int argc, char** argv) {
  CLI::App program{"Redoubt: Kubernetes in C++ for networks you can't trust"};
  program.require_subcommand(1);
  program.fallthrough();  // the options of all commands may stand behind the command, too
  std::string level = "info";
  program.add_option("--log-level", level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
  Command commands[] = {
      make_up_command(program),
      make_server_command(program),
      make_agent_command(program),
      make_join_command(program),
      make_token_command(program),
      make_certs_command(program),
      make_paths_command(program),
      make_check_command(program),
      make_reset_command(program),
      make_version_command(program),
      make_konnectivity_server_command(program),
      make_konnectivity_agent_command(program),
      make_kube_proxy_command(program),
  };
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return program.exit(e) == 0 ? 0 : 2;  // usage
  }
  block_signals();
  raise_open_files();
  set_log_level(log_level(level));
  for (Command& command : commands) {
    if (command.app->parsed()) return command.run();
  }
  return 1;
}

}  // namespace
}  // namespace redoubt::cmd

int main(int argc, char** argv) {
  return redoubt::cmd::run(argc, argv);
}
