// Bootstrap tokens as Secrets of kube-system, made with kubeadm's defaults.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "base/status.h"
#include "pki/bootstrap_token.h"
#include "schema/k8s/core_v1.h"

namespace redoubt::cmd {

struct BootstrapTokenOptions {
  std::chrono::seconds ttl{std::chrono::hours(24)};  // 0: it never ends
  std::vector<std::string> usages = {"signing", "authentication"};
  std::vector<std::string> groups = {"system:bootstrappers:kubeadm:default-node-token"};
  std::string description;
};

// BadRequest for usages and groups that a token can't have.
Result<void> check_token_options(const BootstrapTokenOptions& options);
k8s::core::v1::Secret bootstrap_token_secret(const pki::BootstrapToken& token, const BootstrapTokenOptions& options);

// The line that a node runs: server, token and the hash of each authority that it may meet.
std::string join_line(const std::string& server, const std::string& token, std::string_view ca_bundle);

}  // namespace redoubt::cmd
