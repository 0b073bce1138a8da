#include "dial/proxy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace redoubt::net {
namespace {

bool proxied(std::string no_proxy, Address target) {
  auto proxy = proxy_for({"http://proxy:3128", std::move(no_proxy)}, target);
  EXPECT_TRUE(proxy.has_value());
  return proxy && proxy->has_value();
}

TEST(Proxy, IsNotUsedForLoopbackOrWhatNoProxyNames) {
  EXPECT_TRUE(proxied("", {"10.0.0.1", 6443}));
  EXPECT_FALSE(proxied("", {"127.0.0.1", 6443}));
  EXPECT_FALSE(proxied("", {"::1", 6443}));
  EXPECT_FALSE(proxied("", {"localhost", 6443}));
  struct Case {
    const char* no_proxy;
    const char* host;
    bool proxied;
  };
  for (const Case& c : std::vector<Case>{
           {"*", "example.com", false},
           {"10.0.0.0/8", "10.1.2.3", false},
           {"10.0.0.0/8", "11.1.2.3", true},
           {"a.test, 10.1.2.3", "10.1.2.3", false},
           {"10.1.2.3:6443", "10.1.2.3", false},
           {"10.1.2.3:80", "10.1.2.3", true},
           {"example.com", "example.com", false},
           {"example.com", "API.example.com", false},
           {"example.com", "badexample.com", true},
           {".example.com", "example.com", true},
           {".example.com", "api.example.com", false},
           {"*.example.com", "api.example.com", false},
           {"2001:db8::1", "2001:db8::1", false},
           {"[2001:db8::1]:6443", "2001:db8::1", false},
           {"2001:db8::/32", "2001:db8::7", false},
       })
    EXPECT_EQ(proxied(c.no_proxy, {c.host, 6443}), c.proxied) << c.no_proxy << " " << c.host;
}

TEST(Proxy, ReadsTheUrl) {
  auto proxy = proxy_for({"http://user:p%40ss@proxy.test:3128/", ""}, {"10.0.0.1", 443}).value().value();
  EXPECT_EQ(proxy.address.to_string(), "proxy.test:3128");
  EXPECT_EQ(proxy.authorization, "Basic dXNlcjpwQHNz");
  EXPECT_FALSE(proxy.tls);
  EXPECT_EQ(proxy_for({"proxy.test", ""}, {"10.0.0.1", 443}).value()->address.to_string(), "proxy.test:80");
  EXPECT_TRUE(proxy_for({"https://proxy.test", ""}, {"10.0.0.1", 443}).value()->tls);
  auto wrong = proxy_for({"socks5://user:secret@proxy", ""}, {"10.0.0.1", 443});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message().find("secret"), std::string::npos);
}

}  // namespace
}  // namespace redoubt::net
