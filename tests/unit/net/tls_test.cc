#include "net/tls.h"

#include <gtest/gtest.h>

#include "net/http_server.h"
#include "net/loop.h"

using namespace redoubt;
using namespace redoubt::net;

// Certificates come from pki/, which net/ may not use: verification by name and authority is tested in
// tests/unit/apiserver/proxy and tests/unit/pki. Here: what needs no certificate.
TEST(Tls, RefusesHalfAnIdentityWithoutNamingTheKey) {
  auto wrong = TlsServerContext::make({"no certificate", "SECRET"});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message().find("SECRET"), std::string::npos);
}

TEST(Tls, HandshakeWithSomethingElseIsAnError) {
  run_until_done([]() -> Task<void> {
    auto executor = co_await boost::asio::this_coro::executor;
    auto [a, b] = make_pipe(executor);
    BytesList hello;
    hello.push_back(Bytes::of_static("HTTP/1.1 400 Bad Request\r\n\r\n"));
    co_await b->write(std::move(hello));
    auto context = TlsClientContext::make({});
    EXPECT_TRUE(context);
    if (!context) co_return;
    auto tls = co_await tls_connect(std::move(a), *context, "example.com");
    EXPECT_FALSE(tls);
  });
}
