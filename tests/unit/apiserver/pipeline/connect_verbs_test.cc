// What opens a channel is authorized as what it does, whatever its method (kubernetes issue 83465).
#include <gtest/gtest.h>

#include "apiserver/context.h"

using namespace redoubt;
using namespace redoubt::apiserver;

namespace {

std::string verb_of(std::string method, std::string path, net::Headers headers = {}, int version = 1,
                    std::string protocol = "") {
  net::Request request;
  request.method = std::move(method);
  request.target = request.path = std::move(path);
  request.headers = std::move(headers);
  request.version_major = version;
  request.protocol = std::move(protocol);
  auto info = parse_request_info(request, {});
  EXPECT_TRUE(info.has_value());
  return info ? attributes_of(*info, request, {}).verb : "";
}

const net::Headers kUpgrade{{"connection", "keep-alive, Upgrade"}, {"upgrade", "websocket"}};

}  // namespace

TEST(ConnectVerbs, AnUpgradeThroughAProxyNeedsCreate) {
  for (const char* path : {"/api/v1/nodes/n/proxy/exec/d/p/c", "/api/v1/nodes/n/proxy",
                           "/api/v1/namespaces/d/pods/p/proxy/x", "/api/v1/namespaces/d/services/s:80/proxy/"}) {
    EXPECT_EQ(verb_of("GET", path), "get") << path;
    EXPECT_EQ(verb_of("POST", path), "create") << path;
    EXPECT_EQ(verb_of("DELETE", path), "delete") << path;
    EXPECT_EQ(verb_of("GET", path, kUpgrade), "create") << path;
    EXPECT_EQ(verb_of("PUT", path, kUpgrade), "create") << path;
    EXPECT_EQ(verb_of("CONNECT", path, {}, 2, "websocket"), "create") << path;
  }
}

TEST(ConnectVerbs, ACommandNeedsCreateEvenAsAGet) {
  for (const char* what : {"exec", "attach", "portforward"})
    EXPECT_EQ(verb_of("GET", std::string("/api/v1/namespaces/d/pods/p/") + what, kUpgrade), "create") << what;
  EXPECT_EQ(verb_of("GET", "/api/v1/namespaces/d/pods/p/log"), "get");
}
