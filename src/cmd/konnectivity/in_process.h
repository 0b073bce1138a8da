// The Konnectivity server within the API server's process: its agents' port, and the way through them.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/client.h"
#include "cmd/server.h"
#include "cmd/tunnel_loop.h"
#include "egress/dialer.h"
#include "egress/reverse/addresses.h"
#include "egress/tunnel_info.h"
#include "net/http_server.h"
#include "pki/cluster_pki.h"

namespace redoubt::cmd {

// Who agents are: the authorities of nodes' certificates, as they are at the moment, and where tokens are reviewed.
struct AgentTrust {
  std::function<std::string()> client_ca_pem;
  client::Config api;
};

class InProcessKonnectivity {
 public:
  // `addresses_of`: what a Node object says. Lives on `loop`, which ends it.
  static Result<std::unique_ptr<InProcessKonnectivity>> make(
      const KonnectivityInProcess& options, TunnelLoop& loop, AgentTrust trust,
      std::function<Result<egress::reverse::NodeAddresses>(const std::string& node)> addresses_of);
  virtual ~InProcessKonnectivity() = default;
  // Any loop; must be gone before `loop` is finished.
  virtual std::unique_ptr<egress::Dialer> dialer() = 0;
  // Any thread.
  virtual std::vector<egress::TunnelInfo> list() const = 0;
  // Opens the agents' port, with the certificate of the secure port.
  virtual Result<void> start(std::shared_ptr<net::TlsServerContext> tls) = 0;
  // New authorities, and a new certificate for token reviews. Any thread.
  virtual void replace(const pki::ClusterPki& pki) = 0;
};

}  // namespace redoubt::cmd
