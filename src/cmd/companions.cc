#include "cmd/companions.h"

#include "kubeproxy/proxier.h"

namespace redoubt::cmd {

void add_companions(const CompanionOptions& options, kubelet::Options& agent) {
  if (!options.disable_kube_proxy) {
    kubeproxy::Options proxy;
    proxy.node_name = agent.node_name;
    proxy.rules.cluster_cidrs = {options.cluster_cidr};
    agent.companions.push_back([proxy](client::Client& api, net::LoopPool& loops) {
      return [](client::Client& a, net::LoopPool& l, kubeproxy::Options o) -> Task<void> {
        kubeproxy::Proxier proxier(a, l, std::move(o));
        co_await proxier.run();
      }(api, loops, proxy);
    });
  }
}

}  // namespace redoubt::cmd
