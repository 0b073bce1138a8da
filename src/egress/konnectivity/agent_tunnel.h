// One tunnel of an agent: the call to one proxy server, and the connections it asks for.
#pragma once
#include <memory>
#include <string>

#include "egress/konnectivity/agent.h"
#include "net/grpc_client.h"

namespace redoubt::konnectivity {

class AgentTunnel : public std::enable_shared_from_this<AgentTunnel> {
 public:
  AgentTunnel(Executor executor, std::shared_ptr<const Agent::Options> options);

  // Calls the server and learns who it is.
  Task<Result<void>> connect();
  // Serves until the tunnel ends; every connection is dropped then.
  Task<Result<void>> serve();
  void drain();

  const std::string& server_id() const { return server_id_; }
  int server_count() const { return server_count_; }
  Link& link() { return *link_; }

 private:
  void on_packet(Packet packet);
  Task<void> dial(Packet request);
  Task<Result<net::StreamPtr>> open(std::string address);

  Executor executor_;
  std::shared_ptr<const Agent::Options> options_;
  std::unique_ptr<net::GrpcClient> client_;
  std::unique_ptr<net::GrpcClientStream> call_;
  std::shared_ptr<Link> link_;
  std::string server_id_;
  int server_count_ = 0;
  int64_t next_id_ = 0;
  std::unique_ptr<Scope> scope_;  // dials and connections
  // Dials under way, so that DIAL_CLS can call them off.
  std::unordered_map<int64_t, bool*> dialling_;
};

}  // namespace redoubt::konnectivity
