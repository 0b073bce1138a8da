// The connect subresources: a pod's log, exec, attach and port-forward by its kubelet, and the proxies to nodes, pods
// and Services (apiserver/proxy does the carrying).
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/connect.h"
#include "apiserver/proxy/proxy_policy.h"
#include "egress/dialer.h"
#include "net/tcp.h"
#include "store/store.h"

namespace redoubt::apiserver {

struct KubeletConnectOptions {
  egress::Dialer& dialer;
  const store::Store& store;
  std::string kubelet_ca_pem;   // of kubelets' serving certificates
  std::string certificate_pem;  // shown to kubelets
  std::string private_key_pem;
  // True for --kubelet-certificate-authority: the certificate must carry the address dialled, not the node's name.
  bool check_address = false;
  std::vector<std::string> preferred_address_types;  // empty: the default
  std::chrono::milliseconds timeout{5'000};
  std::string cluster_ca_pem;             // what "cluster" means in redoubt.io/proxy-ca
  std::vector<net::Address> apiserver{};  // addresses and ports of the API server itself: never a backend
  ProxyPolicy policy{};
};

class ClusterConnect : public ConnectHandler {
 public:
  // Drops kept connections: after the loops have stopped and before they are gone.
  virtual void clear() = 0;
};

std::unique_ptr<ClusterConnect> make_kubelet_connect(KubeletConnectOptions options);

}  // namespace redoubt::apiserver
