#include "kubelet/node/tunnel.h"

#include "base/log.h"
#include "egress/reverse/agent.h"
#include "schema/k8s/core_v1.h"
#include "schema/k8s/discovery_v1.h"

namespace redoubt::kubelet {

namespace {

using egress::reverse::Agent;
using egress::reverse::AgentOptions;
using egress::reverse::NodeAddresses;

// How often the list of API servers and the node's networks are looked at.
constexpr std::chrono::seconds kFollowEvery{30};
constexpr std::chrono::seconds kDrain{5};

class NodeTunnelImpl : public NodeTunnel {
 public:
  NodeTunnelImpl(Executor executor, client::Client& api, Options options, net::Address server, AgentOptions agent,
                 std::string pod_cidr)
      : executor_(executor),
        api_(api),
        options_(std::move(options)),
        server_(std::move(server)),
        tls_(agent.tls),
        agent_(executor, std::move(agent)) {
    agent_.set_servers({server_});
    set_networks({std::move(pod_cidr)});
  }

  Task<void> run() override {
    Scope scope(executor_, "node tunnel");
    scope.spawn(agent_.run());
    std::exception_ptr cancelled;
    try {
      while (true) {
        if (auto ok = co_await follow(); !ok)
          log_debug("looking up the API servers failed", {{"error", ok.error().message()}});
        co_await sleep_for(kFollowEvery);
      }
    } catch (...) {
      cancelled = std::current_exception();
    }
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    co_await scope.join();
    std::rethrow_exception(cancelled);
  }

  Task<void> drain() override { return agent_.drain(kDrain); }

  Result<void> replace_certificate(std::string certificate_pem, std::string private_key_pem) override {
    return tls_->replace_certificate(std::move(certificate_pem), std::move(private_key_pem));
  }
  Result<void> replace_roots(std::string ca_pem) override { return tls_->replace_roots(std::move(ca_pem)); }

 private:
  void set_networks(const std::vector<std::string>& networks) {
    agent_.set_addresses(NodeAddresses(options_.node_name, {options_.node_ip}, networks));
  }

  Task<Result<void>> follow() {
    RD_CO_TRY(auto node, co_await api_.get<k8s::core::v1::Node>("", options_.node_name));
    std::vector<std::string> networks = node.spec.podCIDRs;
    if (networks.empty()) networks.push_back(node.spec.podCIDR);
    set_networks(networks);
    RD_CO_TRY(auto slice, co_await api_.get<k8s::discovery::v1::EndpointSlice>("default", "kubernetes"));
    std::vector<net::Address> servers{server_};
    for (const auto& port : slice.ports) {
      if (port.name != "https" || !port.port || *port.port <= 0 || *port.port > 65535) continue;
      for (const auto& endpoint : slice.endpoints) {
        if (endpoint.conditions.ready && !*endpoint.conditions.ready) continue;
        for (const std::string& address : endpoint.addresses) {
          net::Address found{address, static_cast<uint16_t>(*port.port)};
          if (found.to_string() != server_.to_string()) servers.push_back(std::move(found));
        }
      }
    }
    agent_.set_servers(std::move(servers));
    co_return Result<void>{};
  }

  Executor executor_;
  client::Client& api_;
  Options options_;
  net::Address server_;
  std::shared_ptr<net::TlsClientContext> tls_;
  Agent agent_;
};

Result<net::Address> server_of(std::string_view url) {
  if (!url.starts_with("https://")) return bad_request(fmt::format("server \"{}\": only https is spoken", url));
  std::string rest(url.substr(8));
  rest = rest.substr(0, rest.find('/'));
  if (rest.rfind(':') == std::string::npos || rest.ends_with(']')) rest += ":443";
  return net::parse_address(rest);
}

}  // namespace

Result<std::unique_ptr<NodeTunnel>> NodeTunnel::make(Executor executor, client::Client& api, Options options,
                                                     const NodeIdentity& identity, std::string pod_cidr) {
  RD_TRY(net::Address server, server_of(options.server));
  net::TlsClientContext::Options tls;
  tls.ca_pem = identity.ca_pem;
  if (tls.ca_pem.empty()) return bad_request("the node has no cluster CA to check API servers against");
  tls.certificate_pem = identity.client.certificate_pem;
  tls.private_key_pem = identity.client.private_key_pem;
  AgentOptions agent;
  agent.node = options.node_name;
  RD_TRY(agent.tls, net::TlsClientContext::make(std::move(tls)));
  bool everywhere = options.address == "0.0.0.0" || options.address == "::" || options.address.empty();
  agent.kubelet = {everywhere ? "127.0.0.1" : options.address, options.port};
  return std::make_unique<NodeTunnelImpl>(executor, api, std::move(options), std::move(server), std::move(agent),
                                          std::move(pod_cidr));
}

}  // namespace redoubt::kubelet
