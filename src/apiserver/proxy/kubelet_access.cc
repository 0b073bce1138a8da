#include "apiserver/proxy/kubelet_access.h"

#include "net/tls.h"
#include "schema/k8s/core_v1.h"
#include "schema/typed.h"

namespace redoubt::apiserver {

namespace {
constexpr uint16_t kDefaultKubeletPort = 10250;
}

Result<KubeletLocation> KubeletAccess::locate(std::string_view node_json) const {
  RD_TRY(auto node, schema::from_json<k8s::core::v1::Node>(node_json));
  KubeletLocation out;
  out.node = node.metadata.name;
  int32_t port = node.status.daemonEndpoints.kubeletEndpoint.Port;
  out.address.port = port > 0 && port < 65536 ? static_cast<uint16_t>(port) : kDefaultKubeletPort;
  for (const std::string& type : options_.preferred_address_types) {
    for (const auto& address : node.status.addresses) {
      if (address.type != type || address.address.empty()) continue;
      out.address.host = address.address;
      return out;
    }
  }
  return Error(Status(500, "",
                      fmt::format("no preferred addresses found; known addresses of node \"{}\": {}", out.node,
                                  node.status.addresses.size())));
}

Result<std::unique_ptr<net::HttpClient>> KubeletAccess::client(Executor executor, const KubeletLocation& where) const {
  net::TlsClientContext::Options tls;
  {
    std::lock_guard lock(mutex_);
    tls.ca_pem = options_.ca_pem;
    tls.certificate_pem = options_.certificate_pem;
    tls.private_key_pem = options_.private_key_pem;
  }
  // An empty list of roots would mean the system's.
  if (tls.ca_pem.empty()) return internal_error("no certificate authority for kubelets is configured");
  tls.required_common_name = "system:node:" + where.node;
  net::HttpClient::Options options;
  RD_TRY(options.tls, net::TlsClientContext::make(std::move(tls)));
  options.host = where.authority();
  options.dial = [dialer = &options_.dialer, target = egress::Target{where.node, where.address}] {
    return dialer->dial(egress::PathId::ApiserverKubelet, target);
  };
  return net::HttpClient::make(executor, std::move(options));
}

void KubeletAccess::replace_credentials(std::string ca_pem, std::string certificate_pem, std::string private_key_pem) {
  std::lock_guard lock(mutex_);
  options_.ca_pem = std::move(ca_pem);
  options_.certificate_pem = std::move(certificate_pem);
  options_.private_key_pem = std::move(private_key_pem);
}

}  // namespace redoubt::apiserver
