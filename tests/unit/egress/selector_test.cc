#include "egress/selector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dial/http_connect.h"
#include "net/loop.h"

namespace redoubt::egress {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// A tunnel that some nodes have.
class FakeTunnel : public Dialer {
 public:
  Task<Result<net::StreamPtr>> dial(PathId, Target target, DialOptions) override {
    dialled.push_back(target.address.to_string());
    auto [here, there] = net::make_pipe(co_await boost::asio::this_coro::executor);
    others.push_back(std::move(there));
    co_return std::move(here);
  }
  Way way(PathId, const Target& target) const override {
    Way out{.kind = "reverse", .available = nodes.contains(target.node), .confidential = nodes.contains(target.node)};
    if (!out.available) out.why_not = fmt::format("node \"{}\" has no tunnel", target.node);
    return out;
  }
  std::set<std::string> nodes;
  std::vector<std::string> dialled;
  std::vector<net::StreamPtr> others;
};

Result<net::StreamPtr> dial(Dialer& dialer, PathId path, Target target, DialOptions options = {}) {
  Result<net::StreamPtr> out = service_unavailable("not run");
  net::run_until_done([&]() -> Task<void> {
    return [](Dialer& d, PathId p, Target t, DialOptions o, Result<net::StreamPtr>& into) -> Task<void> {
      into = co_await d.dial(p, t, o);
      if (into) (*into)->abort();
    }(dialer, path, target, options, out);
  });
  return out;
}

TEST(Selector, TakesTheTunnelOfTheNode) {
  FakeTunnel tunnel;
  tunnel.nodes = {"a"};
  auto selector = make_selector({.reverse = &tunnel}).value();
  EXPECT_TRUE(dial(*selector, PathId::ApiserverPod, {"a", {"203.0.113.7", 80}}, {.require_confidential = true}));
  EXPECT_EQ(tunnel.dialled, std::vector<std::string>{"203.0.113.7:80"});
  EXPECT_TRUE(selector->way(PathId::ApiserverPod, {"a", {"203.0.113.7", 80}}).confidential);
}

TEST(Selector, SendsNoPlainTextToANodeWithoutATunnel) {
  FakeTunnel tunnel;
  auto selector = make_selector({.reverse = &tunnel}).value();
  auto refused = dial(*selector, PathId::ApiserverPod, {"b", {"203.0.113.7", 80}}, {.require_confidential = true});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("apiserver-pod"));
  EXPECT_THAT(refused.error().message(), HasSubstr("node \"b\" has no tunnel"));
  EXPECT_TRUE(tunnel.dialled.empty());
  EXPECT_FALSE(selector->way(PathId::ApiserverPod, {"b", {"203.0.113.7", 80}}).confidential);
}

TEST(Selector, DialsAKubeletWithoutATunnelDirectlyUnlessThePolicySaysNo) {
  FakeTunnel tunnel;
  auto selector = make_selector({.reverse = &tunnel}).value();
  EXPECT_EQ(selector->way(PathId::ApiserverKubelet, {"b", {"127.0.0.1", 1}}).kind, "direct");
  auto tried = dial(*selector, PathId::ApiserverKubelet, {"b", {"127.0.0.1", 1}});
  ASSERT_FALSE(tried);
  EXPECT_THAT(tried.error().message(), HasSubstr("connection refused (node \"b\" has no tunnel"));
  auto strict = make_selector({.without_tunnel = WithoutTunnel::Refuse, .reverse = &tunnel}).value();
  auto refused = dial(*strict, PathId::ApiserverKubelet, {"b", {"127.0.0.1", 1}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "apiserver-kubelet: node \"b\" has no tunnel");
}

TEST(Selector, NeverDialsTheServersOwnAddressesForAPod) {
  auto selector = make_selector({.configuration = {}}).value();
  for (const char* host : {"127.0.0.1", "::1", "0.0.0.0", "169.254.169.254", "::ffff:127.0.0.1", "fe80::1"}) {
    auto refused = dial(*selector, PathId::ApiserverPod, {"b", {host, 6443}});
    ASSERT_FALSE(refused) << host;
    EXPECT_EQ(refused.error().code(), 403) << host;
  }
}

TEST(Selector, SaysWhatTheConfigurationAsksForThatIsNotThere) {
  EXPECT_FALSE(make_selector({}));
  EgressConfiguration grpc;
  grpc.selections[Network::Cluster] = {.protocol = Protocol::Grpc, .uds_name = "/s"};
  EXPECT_FALSE(make_selector({.configuration = grpc}));
}

// What the far end of a CONNECT answers, and what comes of it.
Result<std::string> connect_and_read(std::string answer, std::string* asked = nullptr) {
  Result<std::string> out = service_unavailable("not run");
  net::run_until_done([&]() -> Task<void> {
    return [](std::string text, Result<std::string>& into, std::string* request) -> Task<void> {
      auto [here, there] = net::make_pipe(co_await boost::asio::this_coro::executor);
      BytesList pieces;
      pieces.push_back(Bytes::copy(text));
      co_await there->write(std::move(pieces));
      co_await there->shutdown_write();
      auto stream = co_await net::http_connect(std::move(here), "10.0.0.1:443", "Basic c2VjcmV0", 1s);
      if (!stream) {
        into = Error(stream.error());
        co_return;
      }
      into = co_await net::read_to_end(**stream, 1000);
      co_await (*stream)->shutdown_write();
      if (request != nullptr) *request = (co_await net::read_to_end(*there, 1000)).value_or("");
    }(answer, out, asked);
  });
  return out;
}

TEST(HttpConnect, GivesTheStreamBehindTheAnswer) {
  std::string asked;
  EXPECT_EQ(connect_and_read("HTTP/1.1 200 Connection established\r\nvia: x\r\n\r\nhello", &asked).value(), "hello");
  EXPECT_THAT(asked, HasSubstr("CONNECT 10.0.0.1:443 HTTP/1.1\r\nhost: 10.0.0.1:443\r\nproxy-authorization: Basic "));
}

TEST(HttpConnect, ReportsRefusalsWithoutTheCredential) {
  for (const char* answer :
       {"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "SSH-2.0-OpenSSH\r\n\r\n", "", "HTTP/1.1 200 OK\r\n"}) {
    auto failed = connect_and_read(answer);
    ASSERT_FALSE(failed) << answer;
    EXPECT_THAT(failed.error().message(), HasSubstr("proxy"));
    EXPECT_EQ(failed.error().message().find("c2VjcmV0"), std::string::npos);
  }
  EXPECT_FALSE(connect_and_read("HTTP/1.1 200 OK\r\n" + std::string(40'000, 'x')));
}

TEST(HttpConnect, GivesUpOnAProxyThatNeverAnswers) {
  Result<net::StreamPtr> out = service_unavailable("not run");
  net::run_until_done([&]() -> Task<void> {
    return [](Result<net::StreamPtr>& into) -> Task<void> {
      auto [here, there] = net::make_pipe(co_await boost::asio::this_coro::executor);
      into = co_await net::http_connect(std::move(here), "a:1", "", 20ms);
    }(out);
  });
  ASSERT_FALSE(out);
  EXPECT_THAT(out.error().message(), HasSubstr("i/o timeout"));
}

}  // namespace
}  // namespace redoubt::egress
