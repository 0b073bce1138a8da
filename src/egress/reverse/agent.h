// The node's end of reverse tunnels: one outbound TLS connection to each API server, over which the servers dial back.
//
//   Agent agent(executor, options);
//   agent.set_servers({...});  agent.set_addresses({...});     whenever they change
//   scope.spawn(agent.run());                                  until cancelled
//   co_await agent.drain(deadline);                            before that: streams under way may end
//
// It listens nowhere. What a server may reach is decided here too, whatever the server asks for: the kubelet on
// loopback, the node's own addresses, its pods'. A lost tunnel is dialled again after a short, random wait; one that a
// server winds up goes on serving its streams while the next one is already up. Belongs to one loop.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/task.h"
#include "egress/reverse/addresses.h"
#include "net/http_client.h"
#include "net/stream.h"
#include "net/tcp.h"
#include "net/tls.h"

namespace redoubt::egress::reverse {

struct AgentOptions {
  std::string node;
  // The node's certificate and the cluster's CA; certificates are replaced in it as they are renewed.
  std::shared_ptr<net::TlsClientContext> tls;
  net::Address kubelet;  // where the node's own kubelet listens, usually 127.0.0.1:10250
  std::chrono::milliseconds ping_interval{5'000};
  std::chrono::milliseconds first_retry{100}, last_retry{10'000};
  std::chrono::milliseconds dial_timeout{10'000};
  // How servers and targets are reached; default: over TCP (servers by HTTPS_PROXY where that is set). Tests replace
  // them.
  std::function<Task<Result<net::StreamPtr>>(net::Address)> dial_server, dial_target;
};

// What is known of the tunnel to one server.
struct LinkInfo {
  std::string server;
  bool up = false;
  size_t streams = 0;
  uint64_t connects = 0;  // times it came up
  std::chrono::microseconds round_trip{0};
  std::string last_error;
};

class Agent {
 public:
  Agent(Executor executor, AgentOptions options);
  ~Agent();  // run() must have ended
  Agent(const Agent&) = delete;
  // Every API server; one that two addresses lead to gets one tunnel.
  void set_servers(std::vector<net::Address> servers);
  void set_addresses(NodeAddresses addresses);
  Task<void> run();
  // Takes no further streams, and waits until those under way have ended, at most `deadline`.
  Task<void> drain(std::chrono::milliseconds deadline);
  std::vector<LinkInfo> links() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace redoubt::egress::reverse
