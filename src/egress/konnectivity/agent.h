// The agent: keeps a tunnel to every proxy server behind one address, and dials what they ask for.
//
// How many servers there are, each says when it is called (serverCount), or their leases do; the agent calls until it
// has reached that many different ones. A tunnel that is lost is called for again, with a growing, jittered interval.
// Belongs to one loop.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "egress/konnectivity/destinations.h"
#include "egress/konnectivity/link.h"
#include "net/tcp.h"
#include "net/tls.h"

namespace redoubt::konnectivity {

// What is known of one tunnel, for reports.
struct TunnelReport {
  std::string server_id;
  size_t connections = 0;
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;
};

class Agent {
 public:
  struct Options {
    net::Address server;
    // Made anew for every call, on the blocking pool, so that a renewed certificate is used; none: plain text, for
    // tests.
    std::function<Result<std::shared_ptr<net::TlsClientContext>>()> tls;
    std::string agent_id;
    std::string identifiers;  // as the flag gives them, URL-encoded
    std::string service_account_token_path;
    std::chrono::milliseconds sync_interval{1000};
    std::chrono::milliseconds sync_interval_cap{10'000};
    std::chrono::milliseconds keepalive{0};
    // Go on calling after all servers known were reached, so that new ones are found.
    bool sync_forever = false;
    // The number of servers by their leases; nothing: not known. And whether a larger serverCount counts ("max").
    std::function<std::optional<int>()> lease_count;
    bool count_max = false;
    Destinations destinations;
    size_t receive_budget = kReceiveBudgetBytes;
    bool flow_control = true;  // offer our window extension
  };
  static std::shared_ptr<Agent> make(Executor executor, Options options);
  virtual ~Agent() = default;

  // Calls servers until cancelled; then everything is dropped.
  virtual Task<void> run() = 0;
  // Tells the servers to choose others, and waits until no connection is left or `limit` has passed.
  virtual Task<void> drain(std::chrono::milliseconds limit) = 0;
  // At least one tunnel is up.
  virtual bool ready() const = 0;
  virtual std::vector<TunnelReport> tunnels() const = 0;
};

}  // namespace redoubt::konnectivity
