#include "cmd/companions.h"

#include "client/service_watch.h"
#include "dns/node_dns.h"
#include "kubeproxy/proxier.h"
#include "net/tcp.h"
#include "networkpolicy/enforcer.h"
#include "podnetwork/pod_network.h"

namespace redoubt::cmd {

namespace {

struct Wanted {
  std::optional<kubeproxy::Options> proxy;
  std::optional<dns::Options> dns;
  std::optional<podnetwork::Options> network;
  std::string policies_of;  // node
};

// The API server's host, as it is told now or was when this node joined; "" when that is unknown.
std::string server_host(const kubelet::Options& agent) {
  std::string known = agent.server;
  if (known.empty()) {
    auto joined = client::load_kubeconfig(agent.kubeconfig.empty() ? agent.root_dir + "/kubeconfig" : agent.kubeconfig);
    if (joined) known = joined->server;
  }
  std::string_view url = known;
  size_t scheme = url.find("://");
  if (scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
  auto address = net::parse_address(url.substr(0, url.find('/')));
  return address ? address->host : "";
}

Task<void> run_companions(client::Client& api, net::LoopPool& loops, Wanted wanted) {
  client::ServiceWatch watch(api);
  std::unique_ptr<kubeproxy::Proxier> proxier;
  std::unique_ptr<dns::NodeDns> node_dns;
  std::unique_ptr<podnetwork::PodNetwork> network;
  std::unique_ptr<networkpolicy::Enforcer> policies;
  if (wanted.proxy) proxier = std::make_unique<kubeproxy::Proxier>(api, watch, loops, std::move(*wanted.proxy));
  if (wanted.dns) node_dns = std::make_unique<dns::NodeDns>(api, watch, std::move(*wanted.dns));
  if (wanted.network) network = std::make_unique<podnetwork::PodNetwork>(api, std::move(*wanted.network));
  if (!wanted.policies_of.empty()) policies = std::make_unique<networkpolicy::Enforcer>(api, wanted.policies_of);
  // Each ends by being cancelled only; the watch ends first, so that it calls nobody who is gone.
  Scope watching(api.executor(), "service watch"), running(api.executor(), "node network");
  watch.start(watching);
  if (proxier) running.spawn(proxier->run());
  if (node_dns) running.spawn(node_dns->run());
  if (network) running.spawn(network->run());
  if (policies) running.spawn(policies->run());
  std::exception_ptr stopped;
  try {
    co_await running.wait_idle();
  } catch (...) {
    stopped = std::current_exception();
  }
  co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
  co_await watching.join();
  co_await running.join();
  if (stopped) std::rethrow_exception(stopped);
}

}  // namespace

Result<void> add_companions(const CompanionOptions& options, kubelet::Options& agent) {
  Wanted wanted;
  if (!options.disable_kube_proxy) {
    wanted.proxy.emplace();
    wanted.proxy->node_name = agent.node_name;
    wanted.proxy->rules.cluster_cidrs = {options.cluster_cidr};
  }
  if (!options.disable_dns) {
    wanted.dns.emplace();
    wanted.dns->domain = agent.cluster_domain;
    wanted.dns->address = agent.cluster_dns;
    wanted.dns->pod_cidrs = {options.cluster_cidr};
    wanted.dns->resolv_conf = agent.resolv_conf;
  }
  RD_TRY(podnetwork::Mode mode, podnetwork::parse_mode(options.pod_network));
  agent.manage_network = agent.manage_network && mode != podnetwork::Mode::None;
  agent.pod_mtu = podnetwork::pod_mtu(mode);
  if (mode != podnetwork::Mode::None) {
    wanted.network = options.network;
    wanted.network->mode = mode;
    wanted.network->node_name = agent.node_name;
    wanted.network->node_ip = agent.node_ip;
    wanted.network->server_host = server_host(agent);
    wanted.network->cluster_cidrs = {options.cluster_cidr};
    wanted.network->folder = agent.root_dir + "/podnetwork";
    wanted.network->interface = podnetwork::interface_name(agent.root_dir);
  }
  // Who brings a network of their own brings its policies too.
  if (!options.disable_network_policy && mode != podnetwork::Mode::None) wanted.policies_of = agent.node_name;
  if (!wanted.proxy && !wanted.dns && !wanted.network && wanted.policies_of.empty()) return {};
  agent.companions.push_back(
      [wanted](client::Client& api, net::LoopPool& loops) { return run_companions(api, loops, wanted); });
  return {};
}

}  // namespace redoubt::cmd
