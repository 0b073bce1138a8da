#include "apiserver/proxy/kubelet_access.h"

#include "base/log.h"
#include "base/metrics.h"
#include "net/tls.h"
#include "schema/k8s/core_v1.h"
#include "schema/typed.h"

namespace redoubt::apiserver {

namespace {
constexpr uint16_t kDefaultKubeletPort = 10250;
constexpr std::string_view kCause = "x509: ";

Task<Result<net::StreamPtr>> dial_guarded(egress::Dialer* dialer, egress::PathId path, KubeletLocation where,
                                          AddressGuard guard, bool allow_loopback, std::chrono::milliseconds timeout) {
  egress::Target target;
  target.node = where.node;
  RD_CO_TRY(target.address, co_await guard.resolve(where.address, allow_loopback));
  egress::DialOptions options;
  options.timeout = timeout;
  std::string address = target.address.to_string();
  auto stream = co_await dialer->dial(path, std::move(target), options);
  if (stream) log_info("connection opened", {{"path", path_name(path)}, {"node", where.node}, {"address", address}});
  co_return stream;
}
}  // namespace

bool is_verification_failure(const Status& status) {
  return status.message().find(kCause) != std::string::npos;
}

Status verification_failure(std::string_view path, std::string_view node, std::string_view address,
                            const Status& status) {
  counter("redoubt_proxy_verification_failures_total",
          "Connections towards the cluster given up because the other end's certificate was not the right one.",
          {{"path", std::string(path)}})
      .add();
  log_warning("refused a server's certificate",
              {{"path", path}, {"node", node}, {"address", address}, {"error", status.message()}});
  return Status(502, "", fmt::format("path {}: node \"{}\" at {}: {}", path, node, address, status.message()));
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
  std::vector<std::string> known;
  for (const auto& address : node.status.addresses) known.push_back(address.type + "=" + address.address);
  return Error(Status(500, "",
                      fmt::format("no preferred addresses found; known addresses of node \"{}\": [{}]", out.node,
                                  fmt::join(known, " "))));
}

Result<std::shared_ptr<net::HttpClient>> KubeletAccess::client(Executor executor, const KubeletLocation& where,
                                                               egress::PathId path) const {
  net::TlsClientContext::Options tls;
  uint64_t generation = 0;
  {
    std::lock_guard lock(mutex_);
    tls.ca_pem = options_.ca_pem;
    tls.certificate_pem = options_.certificate_pem;
    tls.private_key_pem = options_.private_key_pem;
    generation = generation_;
  }
  std::string key = fmt::format("{} {} {} {}", path_name(path), where.node, where.authority(), generation);
  return pool_.get(executor, key, [&]() -> Result<net::HttpClient::Options> {
    // An empty list of roots would mean the system's.
    if (tls.ca_pem.empty()) return internal_error("no certificate authority for kubelets is configured");
    if (options_.name_check == NameCheck::NodeName) tls.required_common_name = "system:node:" + where.node;
    net::HttpClient::Options options;
    RD_TRY(options.tls, net::TlsClientContext::make(std::move(tls)));
    options.host = where.authority();
    // By its node's name alone a kubelet proves who it is wherever it listens, the API server's own machine included.
    bool allow_loopback = options_.name_check == NameCheck::NodeName;
    options.dial = [dialer = &options_.dialer, path, where, guard = options_.guard, allow_loopback,
                    timeout = options_.timeout]() -> Task<Result<net::StreamPtr>> {
      return dial_guarded(dialer, path, where, guard, allow_loopback, timeout);
    };
    return options;
  });
}

void KubeletAccess::replace_credentials(std::string ca_pem, std::string certificate_pem, std::string private_key_pem) {
  std::lock_guard lock(mutex_);
  if (!ca_pem.empty()) options_.ca_pem = std::move(ca_pem);
  if (!certificate_pem.empty()) options_.certificate_pem = std::move(certificate_pem);
  if (!private_key_pem.empty()) options_.private_key_pem = std::move(private_key_pem);
  ++generation_;
}

}  // namespace redoubt::apiserver
