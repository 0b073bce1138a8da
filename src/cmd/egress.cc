#include "cmd/egress.h"

#include "base/random.h"
#include "egress/konnectivity/dialer.h"
#include "egress/selector.h"
#include "pki/certificate.h"

namespace redoubt::cmd {

Result<Egress> make_egress(const EgressOptions& options, const store::Store& store) {
  Egress out;
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
  if (!options.config_file.empty()) {
    RD_TRY(std::string text, pki::read_file(options.config_file));
    auto configuration = egress::parse_configuration(text);
    if (!configuration) return Error(configuration.error().with_context(options.config_file));
    selector.configuration = std::move(*configuration);
  }
  RD_TRY(out.dialer, egress::make_selector(std::move(selector)));
  return out;
}

}  // namespace redoubt::cmd
