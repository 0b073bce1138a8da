// redoubt: one program, its subcommands.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/log.h"
#include "cmd/server.h"

namespace {

using namespace redoubt;

// Waits for SIGTERM or SIGINT. Both are blocked before any thread starts, so that only this takes them.
void wait_for_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  int signal_number = 0;
  sigwait(&set, &signal_number);
  log_info("stopping", {{"signal", signal_number}});
}

void block_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

int fail(const Status& status) {
  std::fprintf(stderr, "error: %s\n", status.message().c_str());
  return 1;
}

void add_server_flags(CLI::App& app, cmd::ServerOptions& options) {
  app.add_option("--data-dir", options.data_dir, "where keys, certificates and the database are kept")
      ->capture_default_str();
  app.add_option("--bind-address", options.bind_address, "address of the secure port")->capture_default_str();
  app.add_option("--secure-port", options.secure_port, "the one HTTPS port")->capture_default_str();
  app.add_option("--advertise-address", options.advertise_address,
                 "address that nodes and pods reach the API server by (default: the default route's)");
  app.add_option("--service-cluster-ip-range", options.service_cluster_ip_range,
                 "network of Services' virtual addresses")
      ->capture_default_str();
  app.add_option("--cluster-cidr", options.cluster_cidr, "network of pods' addresses")->capture_default_str();
  app.add_option("--write-kubeconfig", options.write_kubeconfig,
                 "where the administrator's kubeconfig goes (default: DATA-DIR/admin.kubeconfig)");
  app.add_option("--tls-san", options.tls_sans, "further name or address in the API server's certificate");
  app.add_option("--max-requests-inflight", options.max_requests_inflight, "reading requests under way at once")
      ->capture_default_str();
  app.add_option("--max-mutating-requests-inflight", options.max_mutating_requests_inflight,
                 "writing requests under way at once")
      ->capture_default_str();
  app.add_option("--node-address-allow", options.node_address_allow,
                 "CIDR whose addresses kubelets' serving certificates may carry");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Redoubt: Kubernetes in C++ for networks you can't trust"};
  app.require_subcommand(1);
  std::string level = "info";
  app.add_option("--log-level", level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));

  cmd::ServerOptions server_options;
  CLI::App* server = app.add_subcommand("server", "the control plane: API server, controllers, scheduler, store");
  add_server_flags(*server, server_options);
  app.add_subcommand("version", "print the version");
  CLI11_PARSE(app, argc, argv);

  block_signals();
  set_log_level(level == "debug"     ? LogLevel::Debug
                : level == "warning" ? LogLevel::Warning
                : level == "error"   ? LogLevel::Error
                                     : LogLevel::Info);
  if (app.got_subcommand("version")) {
    std::puts("redoubt 0.1.0 (Kubernetes v1.35.4)");
    return 0;
  }
  if (app.got_subcommand("server")) {
    auto started = cmd::Server::start(server_options);
    if (!started) return fail(started.error());
    wait_for_signal();
    (*started)->stop();
    return 0;
  }
  return 0;
}
