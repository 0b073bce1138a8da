#include "net/websocket.h"

#include <gtest/gtest.h>

#include "net/loop.h"

using namespace redoubt;
using namespace redoubt::net;

namespace {

BytesList one(std::string text) {
  BytesList out;
  out.push_back(Bytes::take(std::move(text)));
  return out;
}

struct Pair {
  explicit Pair(Executor executor, size_t limit = 1 << 20) {
    auto [a, b] = make_pipe(executor, 1 << 20);
    client = websocket_over(std::move(a), false, limit);
    server = websocket_over(std::move(b), true, limit);
  }
  std::unique_ptr<WebSocket> client, server;
};

// What a server makes of these raw bytes.
Task<Result<std::optional<WebSocket::Message>>> server_reads(std::string raw, size_t limit = 1000) {
  auto executor = co_await boost::asio::this_coro::executor;
  auto [a, b] = make_pipe(executor);
  auto server = websocket_over(std::move(b), true, limit);
  co_await a->write(one(std::move(raw)));
  co_await a->shutdown_write();
  co_return co_await server->read();
}

std::string masked(uint8_t first, std::string_view payload) {
  std::string out{static_cast<char>(first), static_cast<char>(0x80 | payload.size())};
  out += std::string("\1\2\3\4");
  for (size_t i = 0; i < payload.size(); ++i) out += static_cast<char>(payload[i] ^ "\1\2\3\4"[i % 4]);
  return out;
}

}  // namespace

TEST(WebSocket, CarriesMessagesOfEverySizeBothWays) {
  run_until_done([]() -> Task<void> {
    Pair pair(co_await boost::asio::this_coro::executor);
    for (size_t size : {0, 1, 125, 126, 127, 65535, 65536, 300000}) {
      std::string text(size, 'x');
      EXPECT_TRUE(co_await pair.client->write(true, one(text)));
      auto there = co_await pair.server->read();
      EXPECT_TRUE(there && *there && (*there)->data == text) << size;
      EXPECT_TRUE(co_await pair.server->write(false, one(text)));
      auto back = co_await pair.client->read();
      EXPECT_TRUE(back && *back && (*back)->data == text && !(*back)->binary) << size;
    }
  });
}

TEST(WebSocket, AnswersPingsAndClosesOnBothSides) {
  run_until_done([]() -> Task<void> {
    Pair pair(co_await boost::asio::this_coro::executor);
    EXPECT_TRUE(co_await pair.client->ping());
    EXPECT_TRUE(co_await pair.client->close(1000, "done"));
    auto at_server = co_await pair.server->read();
    EXPECT_TRUE(at_server && !*at_server);
    auto at_client = co_await pair.client->read();
    EXPECT_TRUE(at_client && !*at_client);
    EXPECT_FALSE(co_await pair.server->write(true, one("late")));
  });
}

TEST(WebSocket, JoinsFragmentsAroundAPing) {
  run_until_done([]() -> Task<void> {
    auto got = co_await server_reads(masked(0x02, "ab") + masked(0x89, "?") + masked(0x80, "cd"));
    EXPECT_TRUE(got && *got && (*got)->data == "abcd" && (*got)->binary);
  });
}

TEST(WebSocket, RefusesWhatRfc6455Forbids) {
  run_until_done([]() -> Task<void> {
    std::vector<std::pair<const char*, std::string>> cases{
        {"unmasked", std::string("\x82\x01x", 3)},
        {"reserved bit", masked(0xc2, "x")},
        {"unknown opcode", masked(0x83, "x")},
        {"fragmented ping", masked(0x09, "x")},
        {"continuation of nothing", masked(0x80, "x")},
        {"message inside a message", masked(0x02, "x") + masked(0x82, "y")},
        {"long form of a short length", std::string("\x82\xfe\x00\x01\1\2\3\4x", 9)},
        {"over the limit", std::string("\x82\xff\x00\x00\x00\x00\x7f\xff\xff\xff\1\2\3\4", 14)},
        {"text that is no UTF-8", masked(0x81, "\xc3\x28")},
        {"close with one byte", masked(0x88, "x")},
        {"cut off", masked(0x82, "x").substr(0, 4)},
    };
    for (auto& [name, raw] : cases) {
      auto got = co_await server_reads(raw);
      EXPECT_FALSE(got) << name;
    }
  });
}

TEST(WebSocket, ManyFragmentsStayUnderTheLimit) {
  run_until_done([]() -> Task<void> {
    std::string raw = masked(0x02, std::string(100, 'x'));
    for (int i = 0; i < 20; ++i) raw += masked(0x00, std::string(100, 'x'));
    auto got = co_await server_reads(raw);
    EXPECT_FALSE(got);
  });
}

TEST(WebSocket, ChecksTheAnswerOfTheHandshake) {
  Headers sent = websocket_client_headers({"v5.channel.k8s.io", "v4.channel.k8s.io"});
  sent.set("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");  // RFC 6455, 1.3
  Headers answer{{"upgrade", "websocket"},
                 {"connection", "Upgrade"},
                 {"sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
                 {"sec-websocket-protocol", "v4.channel.k8s.io"}};
  EXPECT_EQ(websocket_check_answer(sent, answer).value(), "v4.channel.k8s.io");
  answer.set("sec-websocket-protocol", "other");
  EXPECT_FALSE(websocket_check_answer(sent, answer));
  answer.remove("sec-websocket-protocol");
  answer.set("sec-websocket-accept", "AAAA");
  EXPECT_FALSE(websocket_check_answer(sent, answer));
}

TEST(WebSocket, CarriesAStreamOfBytes) {
  run_until_done([]() -> Task<void> {
    auto executor = co_await boost::asio::this_coro::executor;
    auto [a, b] = make_pipe(executor, 1 << 20);
    auto client = websocket_as_stream(websocket_over(std::move(a), false));
    auto server = websocket_as_stream(websocket_over(std::move(b), true));
    co_await client->write(one("hello "));
    co_await client->write(one("world"));
    co_await client->shutdown_write();
    auto text = co_await read_to_end(*server, 100);
    EXPECT_EQ(text.value_or("?"), "hello world");
  });
}

// kubectl gives a session up when its pings stay unanswered for a minute, however much output there is.
TEST(WebSocket, AnswersPingsWhileThereIsAlwaysMoreToSend) {
  run_until_done([]() -> Task<void> {
    auto executor = co_await boost::asio::this_coro::executor;
    auto [a, b] = make_pipe(executor, 64 << 10);
    auto server = websocket_over(std::move(b), true, 1 << 20);
    Scope tasks(executor);
    constexpr int kMessages = 2000;
    tasks.spawn([](WebSocket& s) -> Task<void> {
      for (int i = 0; i < kMessages; ++i) {
        if (!co_await s.write(true, one(std::string(10'000, 'x')))) co_return;
      }
    }(*server));
    tasks.spawn([](WebSocket& s) -> Task<void> { (void)co_await s.read(); }(*server));
    EXPECT_TRUE(co_await a->write(one(masked(0x89, "ping"))));
    std::string got;
    char buffer[32 << 10];
    int before = 0;
    bool answered = false;
    while (!answered && before < kMessages) {
      auto n = co_await a->read_some(buffer);
      if (!n || *n == 0) break;
      got.append(buffer, *n);
      while (got.size() >= 4) {
        bool pong = static_cast<uint8_t>(got[0]) == 0x8a;
        size_t size = pong ? 2 + 4 : 4 + 10'000;
        if (got.size() < size) break;
        if (pong) {
          answered = true;
          EXPECT_EQ(got.substr(2, 4), "ping");
          break;
        }
        ++before;
        got.erase(0, size);
      }
    }
    EXPECT_TRUE(answered);
    EXPECT_LT(before, 100);
    server->abort();
    co_await tasks.join();
  });
}
