// The proxy server: agents connect to it (AgentService), API servers ask it to dial (ProxyService by gRPC, or HTTP
// CONNECT), and this process may dial through it itself.
//
// Belongs to one loop: its HttpServers run on a LoopPool of one. `redoubt konnectivity-server` and the API server's
// process wire it.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "egress/konnectivity/backends.h"
#include "egress/konnectivity/link.h"
#include "egress/tunnel_info.h"
#include "net/grpc_server.h"

namespace redoubt::konnectivity {

// What is known of a connected agent.
struct AgentReport : egress::TunnelInfo {
  std::string agent_id;
  bool flow_control = false;  // speaks our window extension
};

// Who an agent was authenticated as, and the node that it runs on, where that was proven too.
struct AgentIdentity {
  std::string name, node;
};

class Server {
 public:
  // Who an agent is. Called once a connection, before it can get traffic.
  using AuthorizeAgent = std::function<Task<Result<AgentIdentity>>(const net::Headers& metadata,
                                                                   const net::ConnectionInfo&, const Identifiers&)>;
  struct Options {
    std::string server_id;
    int server_count = 1;
    std::vector<Strategy> strategies = {Strategy::Default};
    std::chrono::milliseconds backend_dial_timeout = kBackendDialTimeout;
    size_t receive_budget = kReceiveBudgetBytes;
    AuthorizeAgent authorize_agent;  // none: everyone whom the transport lets in
  };
  static std::shared_ptr<Server> make(Executor executor, Options options);
  virtual ~Server() = default;

  // The handler of the port that agents dial, and of the two kinds of frontend.
  virtual net::Handler agent_handler() = 0;
  virtual net::Handler grpc_frontend() = 0;
  virtual net::Handler http_connect_frontend() = 0;

  // Asks an agent to connect to "host:port". `node`, where it is known, is the node that the destination is on: that
  // node's own agent is asked if there is one, and no other if `only_there`. Errors: ServiceUnavailable with the
  // agent's own words ("dial tcp 10.0.0.7:10250: connect: connection refused") or "No agent available"; Timeout;
  // TooManyRequests.
  virtual Task<Result<std::unique_ptr<Connection>>> dial(std::string address, std::string node = {},
                                                         bool only_there = false) = 0;
  // Any agent at all, and one of that node (its id, or a host identifier). Any thread.
  virtual bool has_agent() const = 0;
  virtual bool has_agent_on(const std::string& node) const = 0;

  virtual bool ready() const = 0;
  // Any thread.
  virtual std::vector<AgentReport> agents() const = 0;
  virtual Executor executor() const = 0;
  // Connections that this process dialled through it; of the server's loop. Joined before the loop stops.
  virtual Scope& scope() = 0;
};

}  // namespace redoubt::konnectivity
