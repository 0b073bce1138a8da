// The Node object and its Lease: made when the kubelet starts, kept fresh while it runs.
#pragma once
#include <functional>
#include <string>

#include "client/client.h"
#include "kubelet/options.h"
#include "kubelet/runtime/cri.h"
#include "schema/k8s/core_v1.h"

namespace redoubt::kubelet {

class Registration {
 public:
  Registration(client::Client& api, Runtime& runtime, Options options)
      : api_(api), runtime_(runtime), options_(std::move(options)) {}
  // Creates or adopts the Node, and waits until it has a podCIDR when the kubelet manages the network.
  Task<Result<std::string>> register_node();
  // Lease every ten seconds, status on change and every five minutes. Until cancelled.
  Task<void> run();
  // Why the node is not ready; empty when it is. Set by the one who finds out.
  void set_problem(std::string why) { problem_ = std::move(why); }

 private:
  Task<Result<k8s::core::v1::NodeStatus>> status(k8s::core::v1::NodeStatus before);
  Task<Result<void>> renew_lease();
  Task<Result<void>> write_status();
  client::Client& api_;
  Runtime& runtime_;
  Options options_;
  std::string problem_;
  std::string last_written_;
  std::chrono::steady_clock::time_point written_at_{};
};

}  // namespace redoubt::kubelet
