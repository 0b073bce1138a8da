#include "apiserver/node_tunnel.h"

#include "apiserver/encode.h"
#include "base/log.h"
#include "egress/reverse/protocol.h"
#include "schema/k8s/core_v1.h"
#include "schema/typed.h"

namespace redoubt::apiserver {

namespace {

using egress::reverse::kHaveHeader;
using egress::reverse::kServerHeader;
using egress::reverse::kUpgradeToken;

class NodeTunnel : public TunnelHandler {
 public:
  explicit NodeTunnel(egress::reverse::TunnelServer& tunnels) : tunnels_(tunnels) {}

  Task<void> open(Context& c) override {
    const std::string& node = c.info.name;
    auto refused = check(c);
    if (!refused) co_return co_await send_status(c, refused.error());
    std::string peer;
    if (c.request.connection)
      peer = net::Address{c.request.connection->remote_address, c.request.connection->remote_port}.to_string();
    net::Headers headers{{"connection", "Upgrade"},
                         {"upgrade", std::string(kUpgradeToken)},
                         {std::string(kServerHeader), tunnels_.server_id()}};
    auto stream = co_await c.responder.upgrade(std::move(headers));
    if (!stream) {
      log_debug("a tunnel's connection was lost before it began",
                {{"node", node}, {"error", stream.error().message()}});
      co_return;
    }
    co_await tunnels_.serve(node, std::move(*stream), std::move(peer));
  }

 private:
  Result<void> check(const Context& c) const {
    GroupResource resource{"", "nodes/tunnel"};
    if (c.impersonator || c.user.node_name() != c.info.name)
      return forbidden(resource, c.info.name, "only the node itself opens its tunnel, with its own certificate");
    if (c.request.version_major != 1 || !c.request.headers.has_token("upgrade", kUpgradeToken))
      return bad_request("a tunnel is asked for by an HTTP/1.1 upgrade to redoubt-tunnel");
    if (c.request.headers.has_token(kHaveHeader, tunnels_.server_id()))
      return conflict(resource, c.info.name, "this server has a tunnel of this agent already, by another address");
    return {};
  }

  egress::reverse::TunnelServer& tunnels_;
};

}  // namespace

std::unique_ptr<TunnelHandler> make_node_tunnel(egress::reverse::TunnelServer& tunnels) {
  return std::make_unique<NodeTunnel>(tunnels);
}

std::function<Result<egress::reverse::NodeAddresses>(const std::string& node)> node_addresses(
    const store::Store& store) {
  return [&store](const std::string& name) -> Result<egress::reverse::NodeAddresses> {
    auto object = store.snapshot("minions")->find(fmt::format("/registry/minions/{}", name));
    if (!object) return not_found({"", "nodes"}, name);
    RD_TRY(auto node, schema::from_json<k8s::core::v1::Node>(object->json));
    std::vector<std::string> addresses, networks = node.spec.podCIDRs;
    if (networks.empty() && !node.spec.podCIDR.empty()) networks.push_back(node.spec.podCIDR);
    for (const auto& address : node.status.addresses) {
      if (address.type == "InternalIP" || address.type == "ExternalIP") addresses.push_back(address.address);
    }
    return egress::reverse::NodeAddresses(name, addresses, networks);
  };
}

}  // namespace redoubt::apiserver
