// The service proxy: keeps this node's nftables in step with Services and EndpointSlices (path service-apiserver, and
// every other Service).
//
// Changes are gathered for `min_sync` and applied in one transaction. A table that somebody else changed or removed is
// put back. Belongs to one loop; nft and conntrack run on the blocking pool.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/event.h"
#include "client/client.h"
#include "client/informer.h"
#include "client/service_watch.h"
#include "kubeproxy/health_check.h"
#include "kubeproxy/rules.h"
#include "net/loop.h"

namespace redoubt::kubeproxy {

struct Options {
  std::string node_name;
  RuleOptions rules;
  // Empty node_port_addresses: the Node's InternalIPs ("primary").
  std::chrono::milliseconds min_sync{100};
  std::chrono::seconds check_every{10};  // whether the tables are still ours
  bool ipv6 = true;                      // off where the kernel has none
};

class Proxier {
 public:
  // `watch` is started by the caller, and outlives this.
  Proxier(client::Client& api, client::ServiceWatch& watch, net::LoopPool& loops, Options options);
  // Until cancelled. The rules stay when it ends, so that a restart disturbs nobody; remove_rules() takes them away.
  Task<void> run();
  // True once the first rules are in, while applying them succeeds.
  bool healthy() const { return healthy_; }

 private:
  struct PerService {
    std::vector<ServicePort> ports;
    Fragment v4, v6;
  };
  struct Table {
    Family family;
    uint32_t generation = 0;                                           // 0: not installed
    std::map<std::pair<std::string, std::string>, std::string> owner;  // (map, key) -> service that holds it
  };
  void mark(const std::string& service);
  Task<void> keep_synced();
  Task<void> keep_checked();
  void note_tracked_flows();
  Task<void> sync();
  Task<bool> sync_table(Table& table, std::map<std::string, PerService>& changed);
  Fragment claim(Table& table, const std::string& service, Fragment wanted);
  Task<void> clean_conntrack(const std::map<std::string, PerService>& changed);
  Task<void> update_health_checks();

  client::Client& api_;
  Options options_;
  client::Informer<k8s::core::v1::Service>& services_;
  client::Informer<k8s::discovery::v1::EndpointSlice>& slices_;
  client::Informer<k8s::core::v1::Node> node_;
  std::map<std::string, std::set<std::string>> slices_of_;  // service -> keys of its slices
  std::map<std::string, PerService> state_;                 // as installed
  std::set<std::string> dirty_;
  std::set<std::string> losers_;  // services whose elements another holds
  Table tables_[2];
  Event work_;
  bool resync_ = true;
  bool healthy_ = false;
  bool tracking_full_ = false;
  HealthChecks health_checks_;
};

// Takes every rule of ours away. Blocking; for `redoubt reset` and `kube-proxy --cleanup`.
Result<void> remove_rules();

}  // namespace redoubt::kubeproxy
