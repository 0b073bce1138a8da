#include "apiserver/auth/front_proxy.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

using namespace redoubt;
using namespace redoubt::apiserver;

namespace {

struct FrontProxies : testing::Test {
  pki::KeyPair ca = *pki::make_ca("front-proxy-ca", std::chrono::hours(1));

  FrontProxyOptions options() {
    FrontProxyOptions out;
    out.client_ca = *pki::TrustBundle::from_pem(ca.certificate_pem);
    out.allowed_names = {"front-proxy-client"};
    out.uid_headers = {"X-Remote-Uid"};
    return out;
  }
  net::Request from(const pki::KeyPair& authority, const char* name,
                    std::chrono::seconds lifetime = std::chrono::hours(1)) {
    pki::Template wanted;
    wanted.subject = {name, {}};
    wanted.usages = {pki::Usage::ClientAuth};
    wanted.lifetime = lifetime;
    std::string pem = pki::issue(authority, wanted)->certificate_pem;
    std::string body = pem.substr(pem.find('\n') + 1);
    net::Request r;
    auto connection = std::make_shared<net::ConnectionInfo>();
    connection->peer_certificates = {*base64_decode(body.substr(0, body.find("-----END")))};
    r.connection = connection;
    r.headers = {{"x-remote-user", "jane"},
                 {"x-remote-group", "devs"},
                 {"x-remote-group", "ops"},
                 {"x-remote-uid", "7"},
                 {"x-remote-extra-example.org%2fa", "1"},
                 {"x-remote-extra-example.org%2fa", "2"}};
    return r;
  }
};

}  // namespace

TEST_F(FrontProxies, AreTakenAtTheirWord) {
  FrontProxy proxy(options());
  auto attempt = proxy.authenticate(from(ca, "front-proxy-client"));
  ASSERT_TRUE(attempt && *attempt);
  const UserInfo& user = (*attempt)->user;
  EXPECT_EQ(user.name, "jane");
  EXPECT_EQ(user.uid, "7");
  EXPECT_EQ(user.groups, (std::vector<std::string>{"devs", "ops"}));
  EXPECT_EQ(user.extra.at("example.org/a"), (std::vector<std::string>{"1", "2"}));
}

TEST_F(FrontProxies, AreNobodyElse) {
  FrontProxy proxy(options());
  pki::KeyPair other = *pki::make_ca("front-proxy-ca", std::chrono::hours(1));
  EXPECT_FALSE(proxy.authenticate(from(other, "front-proxy-client")).has_value());
  EXPECT_FALSE(proxy.authenticate(from(ca, "front-proxy-client", std::chrono::seconds(-1))).has_value());
  auto wrong_name = proxy.authenticate(from(ca, "kubelet"));
  EXPECT_TRUE(wrong_name && !*wrong_name);
  auto nobody = from(ca, "front-proxy-client");
  nobody.headers.remove("x-remote-user");
  EXPECT_FALSE(proxy.authenticate(nobody).has_value());
  net::Request bare = from(ca, "front-proxy-client");
  bare.connection = std::make_shared<net::ConnectionInfo>();
  EXPECT_FALSE(proxy.authenticate(bare).has_value());
  FrontProxy off{FrontProxyOptions{}};
  EXPECT_FALSE(off.authenticate(from(ca, "front-proxy-client")).has_value());
}

TEST_F(FrontProxies, HeadersEndWithThem) {
  FrontProxyOptions custom = options();
  custom.username_headers = {"X-My-User"};
  custom.extra_headers_prefixes = {"X-My-Extra-", ""};
  FrontProxy proxy(custom);
  net::Request r = from(ca, "front-proxy-client");
  r.headers.add("X-My-User", "root");
  r.headers.add("X-My-Extra-a", "b");
  r.headers.add("accept", "*/*");
  proxy.clear(r.headers);
  EXPECT_EQ(r.headers.size(), 1u);
  EXPECT_TRUE(r.headers.has("accept"));
}
