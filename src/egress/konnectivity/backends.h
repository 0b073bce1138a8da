// The agents connected to a proxy server, and which of them is asked to dial: upstream's strategies.
//
//  - default: any of them.
//  - destHost: one that named the destination's address or host name (ipv4, ipv6, host), or, and this is ours, the
//    smallest network that holds it (cidr).
//  - defaultRoute: any that said it serves the default route.
// They are tried in the order given. An agent that is draining is picked only when no other is left. One loop.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "egress/konnectivity/header.h"
#include "egress/konnectivity/link.h"

namespace redoubt::konnectivity {

enum class Strategy { Default, DestHost, DefaultRoute };
std::string_view strategy_name(Strategy strategy);
// "destHost,default"; BadRequest for an unknown one, or none.
Result<std::vector<Strategy>> parse_strategies(std::string_view text);

struct PendingDial;

// One agent's connection.
struct Backend {
  std::string agent_id;
  Identifiers identifiers;
  std::string remote_address;
  uint16_t remote_port = 0;
  std::string identity;  // as authenticated; empty where nobody asks
  std::string node;      // that it proved to be on, if any
  Timestamp since{};
  std::shared_ptr<Link> link;
  std::shared_ptr<const std::atomic<int64_t>> round_trip_us;
  std::atomic<bool> draining{false};
  std::string last_error;                             // of a dial; the Server's mutex guards it
  std::unordered_map<int64_t, PendingDial*> pending;  // by dial id
};
using BackendPtr = std::shared_ptr<Backend>;

class BackendSet {
 public:
  explicit BackendSet(std::vector<Strategy> strategies);
  void add(BackendPtr backend);
  void remove(const BackendPtr& backend);
  // `host` is the destination's; `node`, where the caller knows it, the node that it is on: an agent that has this as
  // its id or a host identifier comes first. Null: no agent available.
  BackendPtr pick(const std::string& host, const std::string& node) const;
  // The agent that has `node` as its id or a host identifier; null: none.
  BackendPtr of_node(const std::string& node) const;
  // Upstream's readiness: the first strategy has an agent.
  bool ready() const;
  const std::vector<BackendPtr>& all() const { return all_; }

 private:
  BackendPtr any(bool default_route) const;
  BackendPtr by_host(const std::string& host) const;
  size_t count(Strategy strategy) const;
  void set_gauges() const;

  std::vector<Strategy> strategies_;
  std::vector<BackendPtr> all_;  // in order of arrival
  // The first connection of an agent is used: the agent itself ends later ones to the same server.
  std::unordered_map<std::string, std::vector<BackendPtr>> by_id_;
  std::vector<std::string> ids_;
  std::unordered_map<std::string, std::vector<BackendPtr>> by_host_;
  std::vector<std::pair<Network, BackendPtr>> by_network_;
};

}  // namespace redoubt::konnectivity
