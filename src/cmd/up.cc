#include "cmd/up.h"

#include <cstdlib>

#include "base/time.h"
#include "cmd/bootstrap_tokens.h"
#include "dns/attachment.h"
#include "kubelet/kubelet.h"
#include "kubelet/node/join.h"
#include "kubelet/node/network.h"
#include "kubeproxy/proxier.h"
#include "networkpolicy/enforcer.h"
#include "podnetwork/pod_network.h"
#include "schema/k8s/core_v1.h"

namespace redoubt::cmd {

namespace {

// An address as a URL has it.
std::string in_url(const std::string& address) {
  return address.find(':') == std::string::npos ? address : "[" + address + "]";
}

}  // namespace

Result<void> prepare_local_agent(const Server& server, kubelet::Options& options) {
  options.ca_hashes.clear();
  client::Config admin = server.client_config(server.pki().clients.at("admin"), "redoubt/up");
  options.server = admin.server;
  // A given certificate is for the address that nodes are told, and need not be for 127.0.0.1.
  if (!admin.tls_server_name.empty())
    options.server =
        fmt::format("https://{}:{}", in_url(server.options().advertise_address), server.options().secure_port);
  options.service_host = server.service_ip();
  if (!kubelet::needs_bootstrap(options)) return {};
  for (const pki::Certificate& root : pki::parse_certificates(server.pki().root_bundle))
    options.ca_hashes.push_back(root.spki_hash);
  pki::BootstrapToken made = pki::generate_bootstrap_token();
  BootstrapTokenOptions wanted;
  wanted.ttl = std::chrono::minutes(10);
  wanted.usages = {"authentication"};
  wanted.groups = {};
  wanted.description = "made by `redoubt up` for its own node";
  k8s::core::v1::Secret token = bootstrap_token_secret(made, wanted);
  Result<void> outcome;
  net::run_until_done([&]() -> Task<void> {
    return [](client::Config config, k8s::core::v1::Secret s, Result<void>& out) -> Task<void> {
      client::Client api(co_await boost::asio::this_coro::executor, std::move(config));
      auto made = co_await api.create(std::move(s));
      if (!made) out = Error(made.error());
    }(admin, token, outcome);
  });
  options.bootstrap_token = made.text();
  return outcome;
}

Result<void> reset_machine(const kubelet::Options& options) {
  RD_TRYV(kubelet::reset_node(options));
  // Nothing to remove is fine: it only fails then.
  std::string bridge = fmt::format("ip link delete {} 2>/dev/null", kubelet::kBridge);
  [[maybe_unused]] int ignored = std::system(bridge.c_str());
  RD_TRYV(dns::detach_all());
  RD_TRYV(networkpolicy::remove_rules());
  RD_TRYV(podnetwork::remove_pod_network(options.root_dir));
  return kubeproxy::remove_rules();
}

}  // namespace redoubt::cmd
