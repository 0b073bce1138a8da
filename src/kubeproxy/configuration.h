// Upstream's KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1), as far as it means something for nftables.
// https://kubernetes.io/docs/reference/config-api/kube-proxy-config.v1alpha1/
#pragma once
#include <string>
#include <string_view>

#include "base/status.h"
#include "kubeproxy/proxier.h"

namespace redoubt::kubeproxy {

struct Configuration {
  std::string kubeconfig;  // clientConnection.kubeconfig
  std::string healthz_bind_address = "0.0.0.0:10256";
  std::string metrics_bind_address = "127.0.0.1:10249";
  Options proxy;
};

// From YAML or JSON. BadRequest names an unknown field, another mode than nftables, and a value that doesn't fit.
Result<Configuration> parse_configuration(std::string_view text);

}  // namespace redoubt::kubeproxy
