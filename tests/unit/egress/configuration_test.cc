#include "egress/configuration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace redoubt::egress {
namespace {

using testing::HasSubstr;

std::string with(std::string_view selections) {
  return fmt::format("apiVersion: apiserver.k8s.io/v1beta1\nkind: EgressSelectorConfiguration\negressSelections:\n{}",
                     selections);
}

TEST(EgressConfiguration, ReadsUpstreamsExample) {
  auto c = parse_configuration(with(R"(
- name: cluster
  connection:
    proxyProtocol: GRPC
    transport:
      uds:
        udsName: /etc/kubernetes/konnectivity-server/konnectivity-server.socket
- name: controlplane
  connection: {proxyProtocol: Direct}
- name: etcd
  connection:
    proxyProtocol: HTTPConnect
    transport:
      tcp:
        url: https://127.0.0.1:8131
        tlsConfig: {caBundle: /ca.crt, clientKey: /c.key, clientCert: /c.crt}
)"));
  ASSERT_TRUE(c) << c.error().message();
  EXPECT_EQ(c->of(Network::Cluster).protocol, Protocol::Grpc);
  EXPECT_EQ(c->of(Network::Node).protocol, Protocol::Grpc) << "nodes go as the cluster does";
  EXPECT_EQ(c->of(Network::Cluster).uds_name, "/etc/kubernetes/konnectivity-server/konnectivity-server.socket");
  EXPECT_EQ(c->of(Network::ControlPlane).protocol, Protocol::Direct);
  EXPECT_EQ(c->of(Network::Etcd).tcp_url, "https://127.0.0.1:8131");
  EXPECT_EQ(c->of(Network::Etcd).client_key_file, "/c.key");
}

TEST(EgressConfiguration, KnowsItsOwnProtocolsAndNodes) {
  auto c =
      parse_configuration(with("- {name: cluster, connection: {proxyProtocol: SSH}}\n"
                               "- {name: node, connection: {proxyProtocol: Reverse}}\n"));
  ASSERT_TRUE(c) << c.error().message();
  EXPECT_EQ(c->of(Network::Cluster).protocol, Protocol::Ssh);
  EXPECT_EQ(c->of(Network::Node).protocol, Protocol::Reverse);
}

TEST(EgressConfiguration, RefusesWhatItDoesNotUnderstand) {
  struct Case {
    const char* selections;
    const char* says;
  };
  for (const Case& c : std::vector<Case>{
           {"- {name: moon, connection: {proxyProtocol: Direct}}",
            "egressSelections[0].name: \"moon\" is not supported"},
           {"- {name: etcd, connection: {proxyProtocol: Direct}}\n- {name: ETCD, connection: {proxyProtocol: Direct}}",
            "is there twice"},
           {"- {name: cluster, connection: {proxyProtocol: Carrier}}", "use one of Direct, HTTPConnect"},
           {"- {name: cluster, connection: {proxyProtocol: GRPC}}", "transport must be set for GRPC"},
           {"- {name: cluster, connection: {proxyProtocol: GRPC, transport: {tcp: {url: 'http://a:1'}}}}",
            "UDS must be set with GRPC"},
           {"- {name: cluster, connection: {proxyProtocol: Direct, transport: {uds: {udsName: /s}}}}",
            "must be absent for Direct"},
           {"- {name: cluster, connection: {proxyProtocol: HTTPConnect, transport: {}}}",
            "One of TCP or UDS must be set"},
           {"- {name: cluster, connection: {proxyProtocol: HTTPConnect, transport: {tcp: {url: 'http://a:1'}, uds: "
            "{udsName: /s}}}}",
            "TCP and UDS cannot both be set"},
           {"- {name: cluster, connection: {proxyProtocol: HTTPConnect, transport: {tcp: {url: 'ftp://a:1'}}}}",
            "supported connection protocols are http:// and https://"},
           {"- {name: cluster, connection: {proxyProtocol: HTTPConnect, transport: {tcp: {url: 'https://a:1'}}}}",
            "TLSConfig must be present when using HTTPS"},
           {"- {name: cluster, connection: {proxyProtocol: HTTPConnect, transport: {tcp: {url: 'https://a:1', "
            "tlsConfig: {clientKey: /k}}}}}",
            "Using TLS requires clientCert"},
           {"- {name: etcd, connection: {proxyProtocol: Reverse}}", "Reverse, SSH and Konnectivity lead to nodes"},
           {"- {name: cluster, conection: {}}", "unknown field \"conection\""},
           {"- 7", "must be an object"},
       }) {
    auto parsed = parse_configuration(with(c.selections));
    ASSERT_FALSE(parsed) << c.selections;
    EXPECT_THAT(parsed.error().message(), HasSubstr(c.says));
  }
  EXPECT_FALSE(parse_configuration("kind: Pod"));
  EXPECT_FALSE(parse_configuration(": : :"));
}

}  // namespace
}  // namespace redoubt::egress
