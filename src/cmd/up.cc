#include "cmd/up.h"

#include <cstdlib>

#include "base/random.h"
#include "base/time.h"
#include "kubelet/kubelet.h"
#include "kubelet/node/network.h"
#include "kubeproxy/proxier.h"
#include "schema/k8s/core_v1.h"

namespace redoubt::cmd {

Result<void> prepare_local_agent(const Server& server, kubelet::Options& options) {
  client::Config admin = server.client_config(server.pki().clients.at("admin"), "redoubt/up");
  options.server = admin.server;
  options.service_host = server.service_ip();
  RD_TRY(pki::Certificate ca, pki::parse_certificate(server.pki().ca.certificate_pem));
  options.ca_hashes = {ca.spki_hash};
  std::string id = random_suffix(6), secret = random_suffix(16);
  k8s::core::v1::Secret token;
  token.metadata.name = "bootstrap-token-" + id;
  token.metadata.namespace_ = "kube-system";
  token.type = "bootstrap.kubernetes.io/token";
  token.data["token-id"].bytes = id;
  token.data["token-secret"].bytes = secret;
  token.data["usage-bootstrap-authentication"].bytes = "true";
  token.data["expiration"].bytes = format_rfc3339(now() + std::chrono::hours(1));
  token.data["description"].bytes = "made by `redoubt up` for its own node";
  Result<void> outcome;
  net::run_until_done([&]() -> Task<void> {
    return [](client::Config config, k8s::core::v1::Secret s, Result<void>& out) -> Task<void> {
      client::Client api(co_await boost::asio::this_coro::executor, std::move(config));
      auto made = co_await api.create(std::move(s));
      if (!made) out = Error(made.error());
    }(admin, token, outcome);
  });
  options.bootstrap_token = id + "." + secret;
  return outcome;
}

Result<void> reset_machine(const kubelet::Options& options) {
  RD_TRYV(kubelet::reset_node(options));
  // Nothing to remove is fine: it only fails then.
  std::string bridge = fmt::format("ip link delete {} 2>/dev/null", kubelet::kBridge);
  [[maybe_unused]] int ignored = std::system(bridge.c_str());
  return kubeproxy::remove_rules();
}

}  // namespace redoubt::cmd
