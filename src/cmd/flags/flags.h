// What subcommands share of flags. Each part of the options has its flags in one file here, under upstream's names
// where the meaning is the same.
#pragma once
#include <string>

#include "cmd/server.h"
#include "kubelet/options.h"

namespace CLI {
class App;
}

namespace redoubt::cmd {

void add_egress_flags(CLI::App& command, EgressOptions& options);
void add_audit_flags(CLI::App& command, AuditFlags& flags);

void add_server_flags(CLI::App& command, ServerOptions& options);
void add_tls_flags(CLI::App& command, ServerOptions& options);  // by add_server_flags()
void add_signing_flags(CLI::App& command, SigningOptions& options);
// What the flags give by files in place of what the server would make. BadRequest says which flags don't go together.
Result<pki::Given> given_files(const ServerOptions& options);
// A flag that takes Go's durations ("8760h", "90s"), of a second or more.
void add_duration(CLI::App& command, const std::string& name, std::chrono::seconds& into, const std::string& help);
void add_connect_flags(CLI::App& command, ConnectOptions& options);

void add_join_flags(CLI::App& command, kubelet::Options& options);
// `run_dir` is where sockets go, see complete_agent_options().
void add_agent_flags(CLI::App& command, kubelet::Options& options, std::string& run_dir);
// Fills in the folders, and what was not said: the node's name and address.
void complete_agent_options(kubelet::Options& options, const std::string& data_dir, const std::string& run_dir);

}  // namespace redoubt::cmd
