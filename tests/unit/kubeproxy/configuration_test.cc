#include "kubeproxy/configuration.h"

#include <gtest/gtest.h>

namespace redoubt::kubeproxy {
namespace {

constexpr std::string_view kHead = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";

TEST(KubeProxyConfiguration, ReadsWhatKubeadmWrites) {
  auto c = parse_configuration(std::string(kHead) + R"(
bindAddress: 0.0.0.0
bindAddressHardFail: false
clientConnection: {acceptContentTypes: "", burst: 0, contentType: "", kubeconfig: /var/lib/kube-proxy/kubeconfig.conf, qps: 0}
clusterCIDR: 10.244.0.0/16, fd00:244::/56
configSyncPeriod: 0s
conntrack: {maxPerCore: null, min: null, tcpCloseWaitTimeout: null}
detectLocal: {bridgeInterface: "", interfaceNamePrefix: ""}
detectLocalMode: ""
enableProfiling: false
healthzBindAddress: ""
hostnameOverride: n1
iptables: {masqueradeAll: false, masqueradeBit: null}
ipvs: {scheduler: ""}
metricsBindAddress: 127.0.0.1:10249
mode: nftables
nftables: {masqueradeAll: true, masqueradeBit: 5, minSyncPeriod: 500ms, syncPeriod: 1m30s}
nodePortAddresses: null
oomScoreAdj: null
)");
  ASSERT_TRUE(c) << c.error().message();
  EXPECT_EQ(c->kubeconfig, "/var/lib/kube-proxy/kubeconfig.conf");
  EXPECT_EQ(c->proxy.node_name, "n1");
  EXPECT_EQ(c->proxy.rules.cluster_cidrs, (std::vector<std::string>{"10.244.0.0/16", "fd00:244::/56"}));
  EXPECT_TRUE(c->proxy.rules.masquerade_all);
  EXPECT_EQ(c->proxy.rules.masquerade_mark, 32U);
  EXPECT_EQ(c->proxy.min_sync, std::chrono::milliseconds(500));
  EXPECT_EQ(c->proxy.check_every, std::chrono::seconds(90));
}

TEST(KubeProxyConfiguration, RefusesWhatItCannotHonour) {
  struct Case {
    std::string text, message;
  };
  for (const auto& [text, message] :
       {Case{"kind: Pod\napiVersion: v1\n", "no kind \"Pod\""},
        Case{std::string(kHead) + "mode: ipvs\n", "mode: \"ipvs\" is not supported"},
        Case{std::string(kHead) + "clusterCIDRs: x\n", "unknown field \"clusterCIDRs\""},
        Case{std::string(kHead) + "nftables: {masqueradeBit: 40}\n", "[0, 31]"},
        Case{std::string(kHead) + "nftables: {minSyncPeriod: soon}\n", "is no duration"}, Case{"[1", ""}}) {
    auto c = parse_configuration(text);
    ASSERT_FALSE(c) << text;
    EXPECT_EQ(c.error().code(), 400);
    EXPECT_NE(c.error().message().find(message), std::string::npos) << c.error().message();
  }
}

}  // namespace
}  // namespace redoubt::kubeproxy
