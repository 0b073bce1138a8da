// Keeps the pod network between nodes right: publishes this node's key, follows the Nodes, installs peers and routes,
// and puts back what somebody took away.
//
// Nothing is made before a second node is there. Belongs to the client's loop.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/event.h"
#include "client/client.h"
#include "client/informer.h"
#include "podnetwork/keys.h"
#include "podnetwork/limits.h"
#include "podnetwork/plain.h"
#include "podnetwork/plan.h"

namespace redoubt::podnetwork {

enum class Mode : uint8_t { Wireguard, Vxlan, Routes, None };
// BadRequest for anything but "wireguard", "vxlan", "routes", "none".
Result<Mode> parse_mode(std::string_view text);

struct Options {
  Mode mode = Mode::Wireguard;
  std::string node_name, node_ip;
  std::string server_host;  // for telling NAT; see likely_behind_nat()
  bool behind_nat = false;  // this node can't be reached unless it begins
  std::string endpoint;     // "ADDRESS:PORT" that other nodes reach this one by; default: its own
  std::vector<std::string> cluster_cidrs;
  std::string folder;     // key and batch files, 0700
  std::string interface;  // interface_name()
  uint16_t port = kWireguardPort;
  std::chrono::seconds key_lifetime{std::chrono::hours(24 * 30)};
};

// The interface's name for an agent with this folder: another agent on the machine (in a network namespace of its own)
// has another.
std::string interface_name(const std::string& root_dir);
// What pods' interfaces should have with this mode on this machine; 0: leave it.
int pod_mtu(Mode mode);

class PodNetwork {
 public:
  PodNetwork(client::Client& api, Options options);
  // Until cancelled. What is installed stays.
  Task<void> run();

 private:
  Task<Result<void>> publish();
  Task<Result<void>> install();
  Plan plan() const;

  client::Client& api_;
  Options options_;
  client::Informer<k8s::core::v1::Node> nodes_;
  Event changed_;
  Key key_;
  std::string published_;
  Plan installed_;
  bool is_installed_ = false;
  PlainCommands plain_;
};

// For `redoubt reset`. Blocking.
Result<void> remove_pod_network(const std::string& root_dir);

}  // namespace redoubt::podnetwork
