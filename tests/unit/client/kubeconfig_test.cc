#include <gtest/gtest.h>

#include "base/encoding.h"
#include "client/client.h"

namespace redoubt::client {

namespace {

std::string with(const std::string& cluster, const std::string& user) {
  return "clusters: [{name: c, cluster: {" + cluster + "}}, {name: other, cluster: {server: 'https://other'}}]\n" +
         "users: [{name: u, user: {" + user + "}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n" +
         "current-context: x\n";
}

std::string why(const std::string& cluster, const std::string& user = "") {
  auto parsed = parse_kubeconfig(with(cluster, user), "/etc/x.conf");
  return parsed ? "ok" : parsed.error().message();
}

}  // namespace

TEST(Kubeconfig, SaysWhereTheServerIsWhomToTrustAndWhoOneIs) {
  auto parsed =
      parse_kubeconfig(with("server: 'https://h:1', tls-server-name: h.example, certificate-authority-data: " +
                                base64_encode("the authorities"),
                            "token: t"),
                       "x");
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->server, "https://h:1");
  EXPECT_EQ(parsed->tls_server_name, "h.example");
  EXPECT_EQ(parsed->ca_pem, "the authorities");
  EXPECT_EQ(parsed->bearer_token, "t");
}

TEST(Kubeconfig, IsRefusedWhereItAsksForLessThanVerification) {
  EXPECT_EQ(why("server: 'https://h'"), "ok");
  EXPECT_NE(why("server: 'https://h', insecure-skip-tls-verify: true").find("insecure-skip-tls-verify"),
            std::string::npos);
  EXPECT_NE(why("server: 'https://h'", "exec: {command: x}").find("exec"), std::string::npos);
  EXPECT_NE(why("").find("/etc/x.conf"), std::string::npos) << "names the file";
}

}  // namespace redoubt::client
