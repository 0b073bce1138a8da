// What a machine needs before Redoubt runs on it, and what must hold while it does: looked at, not changed.
#pragma once
#include <string>
#include <vector>

namespace redoubt::cmd {

enum class CheckOutcome { Ok, Warning, Failed };

struct CheckResult {
  std::string name;  // "kernel"
  CheckOutcome outcome;
  std::string saw;
  std::string remedy;  // empty when it is ok
};

struct CheckOptions {
  std::string data_dir;
  std::string containerd_socket;
  std::string server;  // "host:port" to be reached and whose clock is compared; empty: none
  uint16_t port = 6443;
  bool is_server = true, is_node = true;
};

// Blocking, a few seconds at most.
std::vector<CheckResult> check_machine(const CheckOptions& options);

}  // namespace redoubt::cmd
