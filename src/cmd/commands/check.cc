// redoubt check: is this machine fit, before and after installation?
#include "cmd/check.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/json_text.h"
#include "cmd/commands/commands.h"

namespace redoubt::cmd {

namespace {

const char* name_of(CheckOutcome outcome) {
  return outcome == CheckOutcome::Ok ? "ok" : outcome == CheckOutcome::Warning ? "warning" : "failed";
}

void print_json(const std::vector<CheckResult>& results) {
  std::string out = "[";
  for (const CheckResult& r : results) {
    out += out.size() > 1 ? ",{" : "{";
    for (auto [key, value] : {std::pair<const char*, std::string>{"name", r.name},
                              {"outcome", name_of(r.outcome)},
                              {"saw", r.saw},
                              {"remedy", r.remedy}}) {
      if (value.empty()) continue;
      out += out.back() == '{' ? "" : ",";
      append_json_string(out, key);
      out += ':';
      append_json_string(out, value);
    }
    out += '}';
  }
  std::printf("%s]\n", out.c_str());
}

}  // namespace

Command make_check_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "check", "is this machine fit: kernel, cgroups, containerd, port, clock, DNS, disk, certificates");
  auto o = std::make_shared<CheckOptions>();
  auto role = std::make_shared<std::string>("both");
  auto output = std::make_shared<std::string>("text");
  o->data_dir = "/var/lib/redoubt";
  o->containerd_socket = "/run/containerd/containerd.sock";
  command->add_option("--data-dir", o->data_dir, "where data is, or will be")->capture_default_str();
  command->add_option("--containerd", o->containerd_socket, "containerd's socket")->capture_default_str();
  command->add_option("--secure-port", o->port, "the API server's port")->capture_default_str();
  command->add_option("--server", o->server, "an API server that this node will join: HOST:PORT");
  command->add_option("--role", *role, "what this machine is, or will be: server, node or both")
      ->check(CLI::IsMember({"server", "node", "both"}))
      ->capture_default_str();
  command->add_option("-o,--output", *output, "text or json")->check(CLI::IsMember({"text", "json"}));
  command->footer("Exit status: 0 nothing failed (warnings may be there), 1 something did.");
  return {command, [o, role, output] {
            o->is_server = *role != "node";
            o->is_node = *role != "server";
            std::vector<CheckResult> results = check_machine(*o);
            bool failed = false, colour = isatty(STDOUT_FILENO) != 0;
            for (const CheckResult& r : results) failed = failed || r.outcome == CheckOutcome::Failed;
            if (*output == "json") {
              print_json(results);
              return failed ? 1 : 0;
            }
            for (const CheckResult& r : results) {
              const char* code = r.outcome == CheckOutcome::Ok        ? "\x1b[32m"
                                 : r.outcome == CheckOutcome::Warning ? "\x1b[33m"
                                                                      : "\x1b[1;31m";
              std::printf("%s%-8s%s %-13s %s\n", colour ? code : "", name_of(r.outcome), colour ? "\x1b[0m" : "",
                          r.name.c_str(), r.saw.c_str());
              if (!r.remedy.empty()) std::printf("%*s-> %s\n", 23, "", r.remedy.c_str());
            }
            return failed ? 1 : 0;
          }};
}

}  // namespace redoubt::cmd
