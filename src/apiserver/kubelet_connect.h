// The connect subresources, handed to the kubelet that runs the pod (proxy/pod_connect.h does the carrying).
#pragma once
#include <memory>
#include <string>

#include "apiserver/connect.h"
#include "egress/dialer.h"
#include "store/store.h"

namespace redoubt::apiserver {

struct KubeletConnectOptions {
  egress::Dialer& dialer;
  const store::Store& store;
  std::string kubelet_ca_pem;   // --kubelet-certificate-authority: of kubelets' serving certificates
  std::string certificate_pem;  // --kubelet-client-certificate
  std::string private_key_pem;  // --kubelet-client-key
};

std::unique_ptr<ConnectHandler> make_kubelet_connect(KubeletConnectOptions options);

}  // namespace redoubt::apiserver
