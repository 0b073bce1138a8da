// The node's reverse tunnels: keeps the tunnel agent told where the API servers are, and what the node's addresses are.
#pragma once
#include <memory>
#include <string>

#include "client/client.h"
#include "kubelet/node/join.h"
#include "kubelet/options.h"

namespace redoubt::kubelet {

class NodeTunnel {
 public:
  // BadRequest when the server's URL or the identity is none. Belongs to the executor's loop, as `api` does.
  static Result<std::unique_ptr<NodeTunnel>> make(Executor executor, client::Client& api, Options options,
                                                  const NodeIdentity& identity, std::string pod_cidr);
  virtual ~NodeTunnel() = default;
  // Until cancelled.
  virtual Task<void> run() = 0;
  // Streams under way may end; at most for a short while.
  virtual Task<void> drain() = 0;
  // Later tunnels show the new certificate.
  virtual Result<void> replace_certificate(std::string certificate_pem, std::string private_key_pem) = 0;
  // Later tunnels trust these authorities.
  virtual Result<void> replace_roots(std::string ca_pem) = 0;
};

}  // namespace redoubt::kubelet
