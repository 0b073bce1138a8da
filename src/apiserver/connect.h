// Where requests that leave the API server go: logs, exec, attach, port-forward and the proxies. The path's other end
// is a kubelet (apiserver-kubelet), a node, a pod or a Service.
#pragma once
#include "apiserver/context.h"

namespace redoubt::apiserver {

class ConnectHandler {
 public:
  virtual ~ConnectHandler() = default;
  // `object` is the stored pod, node or Service. Answers the request, errors included.
  virtual Task<void> connect(Context& context, const schema::Value& object) = 0;
  // Later connections to kubelets trust `ca_pem` for their serving certificates and present the new certificate. Any
  // thread.
  virtual void replace_kubelet_credentials(std::string ca_pem, std::string certificate_pem,
                                           std::string private_key_pem) = 0;
};

// Takes the reverse tunnels that nodes open (POST nodes/NAME/tunnel), once they are authorized.
class TunnelHandler {
 public:
  virtual ~TunnelHandler() = default;
  // Answers the request; returns when the tunnel has ended.
  virtual Task<void> open(Context& context) = 0;
};

}  // namespace redoubt::apiserver
