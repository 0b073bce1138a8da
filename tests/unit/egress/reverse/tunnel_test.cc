#include <gmock/gmock.h>

#include "egress/selector.h"
#include "net/pieces.h"
#include "unit/egress/reverse/tunnel_fixture.h"

namespace redoubt::egress::reverse {
namespace {

using testing::HasSubstr;

Task<void> echo(net::StreamPtr stream) {
  while (true) {
    auto got = co_await net::read_pieces(*stream, 64 * 1024);
    if (!got || got->empty()) break;
    if (!co_await stream->write(std::move(*got))) break;
  }
  (void)co_await stream->shutdown_write();
}

// Takes the connection and neither reads nor writes.
Task<void> stall(net::StreamPtr stream) {
  co_await sleep_for(1h);
}

class ReverseTunnel : public testing::Test {
 protected:
  ReverseTunnel() {
    tunnels.services["10.244.1.7:80"] = echo;
    tunnels.services["127.0.0.1:10250"] = echo;
    tunnels.services["10.0.0.1:9100"] = echo;
    tunnels.services["10.244.1.9:80"] = stall;
  }
  Result<std::string> ask(std::string host, uint16_t port, std::string text = "hello",
                          PathId path = PathId::ApiserverPod, std::string node = "a", size_t loop = 0) {
    Result<std::string> out = service_unavailable("not run");
    tunnels.run(
        [&]() -> Task<void> {
          return [](Tunnels& t, std::string h, uint16_t p, std::string x, PathId id, std::string n,
                    Result<std::string>& into) -> Task<void> {
            into = co_await t.ask(h, p, x, id, n);
          }(tunnels, host, port, text, path, node, out);
        },
        loop);
    return out;
  }
  Tunnels tunnels;
};

TEST_F(ReverseTunnel, CarriesToPodsNodeAndKubelet) {
  EXPECT_EQ(ask("10.244.1.7", 80).value(), "hello");
  EXPECT_EQ(ask("10.0.0.1", 9100, "x", PathId::ApiserverNode).value(), "x");
  // The kubelet is meant by the node's name, whatever address its Node object says.
  EXPECT_EQ(ask("203.0.113.9", 10250, "y", PathId::ApiserverKubelet).value(), "y");
  EXPECT_EQ(tunnels.dialled.back(), "127.0.0.1:10250");
}

TEST_F(ReverseTunnel, ServesDialsOfOtherLoops) {
  std::string big(5'000'000, 'x');
  EXPECT_EQ(ask("10.244.1.7", 80, big, PathId::ApiserverPod, "a", 1).value(), big);
  EXPECT_EQ(ask("10.244.1.7", 80, big, PathId::ApiserverPod, "a", 0).value(), big);
}

TEST_F(ReverseTunnel, TheServerSendsNoNodeAnothersTraffic) {
  auto refused = ask("10.244.2.7", 80);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), 403);
  EXPECT_THAT(refused.error().message(), HasSubstr("node \"a\" carries only traffic to its kubelet"));
  EXPECT_TRUE(tunnels.dialled.empty()) << "the agent was never asked";
  EXPECT_FALSE(ask("10.244.2.7", 80, "x", PathId::ApiserverPod, "b")) << "b has no tunnel, and a's is not taken for it";
  EXPECT_FALSE(ask("127.0.0.1", 6443, "x", PathId::ApiserverNode));
}

TEST_F(ReverseTunnel, TheAgentRefusesWhatItsServerAsksBeyondTheNode) {
  // An agent that knows its node to be smaller than the server believes.
  tunnels.run(
      [this]() -> Task<void> {
        return [](Tunnels& t) -> Task<void> {
          t.agent->set_addresses(NodeAddresses("a", {"10.0.0.1"}, {"10.244.1.0/29"}));
          co_return;
        }(tunnels);
      },
      1);
  tunnels.services["10.244.1.200:80"] = echo;
  auto refused = ask("10.244.1.200", 80);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), 403);
  EXPECT_TRUE(tunnels.dialled.empty());
  EXPECT_FALSE(ask("x", 10251, "x", PathId::ApiserverKubelet)) << "no other port by the node's name";
}

TEST_F(ReverseTunnel, ReportsWhyATargetIsNotReached) {
  auto refused = ask("10.244.1.8", 80);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("dial tcp 10.244.1.8:80: connect: connection refused"));
  EXPECT_THAT(tunnels.server->list().front().last_error, HasSubstr("connection refused"));
}

TEST_F(ReverseTunnel, OneStalledStreamHoldsUpNoOther) {
  tunnels.run([this]() -> Task<void> {
    return [](Tunnels& t) -> Task<void> {
      Executor executor = co_await boost::asio::this_coro::executor;
      Scope scope(executor);
      std::vector<std::shared_ptr<net::Stream>> stalled;
      // Each takes what its windows give and then waits.
      for (int i = 0; i < 200; ++i) {
        auto stream = co_await t.server->dial(PathId::ApiserverPod, {"a", {"10.244.1.9", 80}}, {});
        if (!stream) {
          ADD_FAILURE() << stream.error().message();
          break;
        }
        stalled.emplace_back(std::move(*stream));
        scope.spawn([](std::shared_ptr<net::Stream> s) -> Task<void> {
          while (true) {
            BytesList pieces;
            pieces.push_back(Bytes::take(std::string(64 * 1024, 's')));
            if (!co_await s->write(std::move(pieces))) co_return;
          }
        }(stalled.back()));
      }
      co_await sleep_for(200ms);
      auto began = std::chrono::steady_clock::now();
      std::string big(2'000'000, 'x');
      auto answer = co_await t.ask("10.244.1.7", 80, big);
      EXPECT_TRUE(answer && *answer == big);
      EXPECT_LT(std::chrono::steady_clock::now() - began, 2s);
      for (auto& s : stalled) s->abort();
      co_await scope.join();
    }(tunnels);
  });
}

TEST_F(ReverseTunnel, AbortedStreamsEndOnBothSides) {
  tunnels.run([this]() -> Task<void> {
    return [](Tunnels& t) -> Task<void> {
      for (int i = 0; i < 2000; ++i) {
        auto stream = co_await t.server->dial(PathId::ApiserverPod, {"a", {"10.244.1.7", 80}}, {});
        if (!stream) {
          ADD_FAILURE() << stream.error().message();
          co_return;
        }
        (*stream)->abort();
      }
      for (int i = 0; i < 200 && t.server->list().front().streams > 0; ++i) co_await sleep_for(10ms);
      EXPECT_EQ(t.server->list().front().streams, 0U);
      EXPECT_TRUE((co_await t.ask("10.244.1.7", 80, "still there")).has_value())
          << "resets are not counted as an attack";
    }(tunnels);
  });
}

TEST_F(ReverseTunnel, AThousandDialsToABlackHoleHoldUpNothing) {
  tunnels.run([this]() -> Task<void> {
    return [](Tunnels& t) -> Task<void> {
      Executor executor = co_await boost::asio::this_coro::executor;
      Scope scope(executor);
      auto ended = std::make_shared<int>(0);
      t.services["10.244.1.66:80"] = {};  // see below: dialled, never answered
      for (int i = 0; i < 1000; ++i) {
        scope.spawn([](Tunnels& tt, std::shared_ptr<int> n) -> Task<void> {
          auto stream = co_await tt.server->dial(PathId::ApiserverPod, {"a", {"10.244.1.66", 80}}, {.timeout = 500ms});
          EXPECT_FALSE(stream);
          ++*n;
        }(t, ended));
      }
      co_await sleep_for(50ms);
      EXPECT_TRUE((co_await t.ask("10.244.1.7", 80, "x")).has_value());
      co_await scope.wait_idle();
      EXPECT_EQ(*ended, 1000);
    }(tunnels);
  });
}

TEST_F(ReverseTunnel, AgentComesBackAfterTheLinkIsCut) {
  tunnels.run([this]() -> Task<void> {
    return [](Tunnels& t) -> Task<void> {
      auto open = co_await t.server->dial(PathId::ApiserverPod, {"a", {"10.244.1.9", 80}}, {});
      EXPECT_TRUE(open.has_value());
      auto began = std::chrono::steady_clock::now();
      t.cut();
      // The stream ends with an error rather than never.
      char buffer[8];
      auto got = co_await (*open)->read_some(buffer);
      EXPECT_FALSE(got.has_value());
      auto answer = co_await t.ask("10.244.1.7", 80, "again");
      EXPECT_TRUE(answer.has_value()) << answer.error().message();
      auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
      std::printf("recovered after %ld ms\n", static_cast<long>(took.count()));
      EXPECT_LT(took, 2s);
    }(tunnels);
  });
}

TEST_F(ReverseTunnel, AHalfOpenLinkIsFoundDeadByBothSides) {
  tunnels.run([this]() -> Task<void> {
    return [](Tunnels& t) -> Task<void> {
      auto open = co_await t.server->dial(PathId::ApiserverPod, {"a", {"10.244.1.9", 80}}, {});
      EXPECT_TRUE(open.has_value());
      auto began = std::chrono::steady_clock::now();
      t.swallow();  // from now on nothing arrives, and nobody is told
      char buffer[8];
      auto got = co_await (*open)->read_some(buffer);
      EXPECT_FALSE(got.has_value());
      EXPECT_LT(std::chrono::steady_clock::now() - began, 20s);
      co_await t.wait_for_tunnel("a");
      EXPECT_TRUE((co_await t.ask("10.244.1.7", 80, "again")).has_value());
    }(tunnels);
  });
}

TEST_F(ReverseTunnel, AServerThatWindsUpLetsStreamsEnd) {
  tunnels.run([this]() -> Task<void> {
    return [](Tunnels& t) -> Task<void> {
      auto open = co_await t.server->dial(PathId::ApiserverPod, {"a", {"10.244.1.7", 80}}, {});
      EXPECT_TRUE(open.has_value());
      t.server->drain();
      co_await sleep_for(100ms);
      BytesList pieces;
      pieces.push_back(Bytes::copy("still carried"));
      EXPECT_TRUE((co_await (*open)->write(std::move(pieces))).has_value());
      EXPECT_TRUE((co_await (*open)->shutdown_write()).has_value());
      EXPECT_EQ((co_await net::read_to_end(**open, 100)).value_or("lost"), "still carried");
    }(tunnels);
  });
}

TEST_F(ReverseTunnel, TheSelectorSendsPlainTextThroughIt) {
  auto selector = make_selector({.reverse = tunnels.server.get()}).value();
  Way way = selector->way(PathId::ApiserverPod, {"a", {"10.244.1.7", 80}});
  EXPECT_TRUE(way.available && way.confidential);
  EXPECT_EQ(way.kind, "reverse");
  tunnels.run([&]() -> Task<void> {
    return [](Dialer& d) -> Task<void> {
      auto stream = co_await d.dial(PathId::ApiserverPod, {"a", {"10.244.1.7", 80}}, {.require_confidential = true});
      EXPECT_TRUE(stream.has_value());
    }(*selector);
  });
}

}  // namespace
}  // namespace redoubt::egress::reverse
