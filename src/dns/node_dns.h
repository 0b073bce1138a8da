// The DNS of a node: the cluster's names from the node's watch of Services, served under the kube-dns Service's
// address.
//
// While that Service has ready endpoints (CoreDNS was installed), this one stands aside, and is back when they are
// gone. Names stay as last seen while the API server is away. Belongs to the client's loop.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/event.h"
#include "client/service_watch.h"
#include "dns/cluster_records.h"
#include "dns/server.h"

namespace redoubt::dns {

struct Options {
  std::string domain = "cluster.local";
  // Where to listen; empty: the addresses of Service kube-system/kube-dns.
  std::string address;
  std::vector<std::string> pod_cidrs{"10.244.0.0/16"};
  std::string resolv_conf = "/etc/resolv.conf";  // its nameservers are asked for everything else
  uint16_t port = 53;
};

class NodeDns {
 public:
  // `watch` is started by the caller, and outlives this.
  NodeDns(client::Client& api, client::ServiceWatch& watch, Options options);
  // Until cancelled; then the address is given up.
  Task<void> run();

 private:
  std::vector<std::string> wanted() const;
  Task<void> keep();
  Task<bool> change_to(std::vector<std::string> addresses);
  Task<void> read_upstreams();

  client::Client& api_;
  client::ServiceWatch& watch_;
  Options options_;
  ClusterRecords records_;
  std::unique_ptr<Server> server_;
  std::vector<std::string> serving_;    // addresses, as attached
  std::vector<std::string> upstreams_;  // as last read
  Event changed_;
};

}  // namespace redoubt::dns
