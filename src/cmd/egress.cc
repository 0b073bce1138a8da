#include "cmd/egress.h"

#include "base/random.h"
#include "egress/konnectivity/dialer.h"
#include "egress/selector.h"
#include "egress/tunnel_metrics.h"
#include "pki/certificate.h"
#include "schema/k8s/core_v1.h"
#include "schema/typed.h"

namespace redoubt::cmd {

namespace {

// What SSH needs of a Node object: where its sshd is, which keys it publishes, and what may be carried.
std::function<Result<egress::ssh::NodeSsh>(const std::string& node)> ssh_nodes(const store::Store& store) {
  return [&store, allowed = apiserver::node_addresses(store)](const std::string& name) -> Result<egress::ssh::NodeSsh> {
    egress::ssh::NodeSsh out;
    RD_TRY(out.allowed, allowed(name));
    auto object = store.snapshot("minions")->find(fmt::format("/registry/minions/{}", name));
    if (!object) return not_found({"", "nodes"}, name);
    RD_TRY(auto node, schema::from_json<k8s::core::v1::Node>(object->json));
    for (std::string_view type : {"InternalIP", "ExternalIP"}) {
      for (const auto& address : node.status.addresses) {
        if (address.type == type) out.addresses.push_back(address.address);
      }
    }
    int32_t port = node.status.daemonEndpoints.kubeletEndpoint.Port;
    if (port > 0 && port <= 65535) out.kubelet_port = static_cast<uint16_t>(port);
    auto published = node.metadata.annotations.find(std::string(egress::ssh::kHostKeysAnnotation));
    if (published != node.metadata.annotations.end()) out.published_keys = std::string(published->second);
    return out;
  };
}

Result<void> add_ssh(const EgressOptions& options, const store::Store& store, Egress& out) {
  egress::ssh::SshOptions ssh;
  ssh.user = options.ssh_user;
  ssh.key_file = options.ssh_keyfile;
  ssh.known_hosts_file = options.ssh_known_hosts;
  ssh.port = options.ssh_port;
  ssh.node = ssh_nodes(store);
  RD_TRY(out.ssh, egress::ssh::SshTunnels::make(out.loop->executor(), std::move(ssh)));
  out.loop->at_end([tunnels = out.ssh.get()] { return tunnels->stop(); });
  return {};
}

std::vector<egress::TunnelInfo> all_of(const egress::reverse::TunnelServer& reverse, const egress::ssh::SshTunnels* ssh,
                                       const InProcessKonnectivity* konnectivity) {
  std::vector<egress::TunnelInfo> out = reverse.list();
  auto add = [&out](std::vector<egress::TunnelInfo> more) {
    out.insert(out.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  };
  if (ssh != nullptr) add(ssh->list());
  if (konnectivity != nullptr) add(konnectivity->list());
  return out;
}

}  // namespace

std::vector<egress::TunnelInfo> Egress::list() const {
  return all_of(*reverse, ssh.get(), konnectivity.get());
}

Result<Egress> make_egress(const EgressOptions& options, const store::Store& store, AgentTrust konnectivity) {
  Egress out;
  bool ssh = !options.ssh_user.empty() || !options.ssh_keyfile.empty(), agents = options.konnectivity.agent_port != 0;
  if (ssh && agents && options.config_file.empty())
    return bad_request(
        "--ssh-keyfile and --konnectivity-agent-port are both given: --egress-selector-config-file has to say which "
        "is for what");
  if (ssh || agents) out.loop = std::make_unique<TunnelLoop>();
  out.running.reset(out.loop.get());
  egress::reverse::TunnelServerOptions tunnels;
  tunnels.addresses = apiserver::node_addresses(store);
  tunnels.server_id = random_uuid();
  out.reverse = egress::reverse::TunnelServer::make(std::move(tunnels));
  out.tunnels = apiserver::make_node_tunnel(*out.reverse);
  egress::SelectorOptions selector;
  selector.reverse = out.reverse.get();
  selector.without_tunnel =
      options.without_tunnel == "refuse" ? egress::WithoutTunnel::Refuse : egress::WithoutTunnel::DirectWhenEncrypted;
  selector.make_grpc = [](std::string uds_name) -> Result<std::unique_ptr<egress::Dialer>> {
    konnectivity::ProxyClient::Options proxy;
    proxy.uds_name = std::move(uds_name);
    return konnectivity::make_konnectivity_dialer(std::move(proxy));
  };
  // As upstream's flags did: with a key given, nodes and what runs there are reached by SSH.
  auto use = [&selector](egress::Protocol protocol) {
    for (auto network : {egress::Network::Node, egress::Network::Cluster})
      selector.configuration.selections[network].protocol = protocol;
  };
  if (ssh) {
    RD_TRYV(add_ssh(options, store, out));
    selector.ssh = out.ssh.get();
    use(egress::Protocol::Ssh);
  }
  if (agents) {
    RD_TRY(out.konnectivity, InProcessKonnectivity::make(options.konnectivity, *out.loop, std::move(konnectivity),
                                                         apiserver::node_addresses(store)));
    out.through_konnectivity = out.konnectivity->dialer();
    selector.konnectivity = out.through_konnectivity.get();
    use(egress::Protocol::Konnectivity);
  }
  if (!options.config_file.empty()) {
    RD_TRY(std::string text, pki::read_file(options.config_file));
    auto configuration = egress::parse_configuration(text);
    if (!configuration) return Error(configuration.error().with_context(options.config_file));
    selector.configuration = std::move(*configuration);
  }
  RD_TRY(out.dialer, egress::make_selector(std::move(selector)));
  out.metrics = std::make_unique<MetricSource>(
      [reverse = out.reverse.get(), tunnels = out.ssh.get(), konnectivity = out.konnectivity.get()] {
        return egress::tunnel_metrics(all_of(*reverse, tunnels, konnectivity));
      });
  return out;
}

}  // namespace redoubt::cmd
