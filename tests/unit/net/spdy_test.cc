#include "net/spdy.h"

#include <gtest/gtest.h>

#include "net/limits.h"
#include "net/loop.h"
#include "net/spdy_headers.h"

using namespace redoubt;
using namespace redoubt::net;
using namespace std::chrono_literals;

namespace {

BytesList one(std::string text) {
  BytesList out;
  out.push_back(Bytes::take(std::move(text)));
  return out;
}

struct Pair {
  explicit Pair(Executor executor) {
    auto [a, b] = make_pipe(executor);
    client = SpdyConnection::make(std::move(a), false, executor);
    server = SpdyConnection::make(std::move(b), true, executor);
  }
  std::unique_ptr<SpdyConnection> client, server;
};

struct Streams {
  StreamPtr client, server;
};

Task<Streams> open_one(Pair& pair, std::string type) {
  auto opened = co_await pair.client->open({{"streamtype", type}});
  auto accepted = co_await pair.server->accept();
  Streams out;
  if (opened) out.client = std::move(*opened);
  if (accepted && *accepted) {
    EXPECT_EQ((*accepted)->headers.get("streamtype"), type);
    out.server = std::move((*accepted)->stream);
  }
  EXPECT_TRUE(out.client && out.server);
  co_return out;
}

Task<void> write_and_end(Stream& stream, std::string text) {
  auto sent = co_await stream.write(one(std::move(text)));
  EXPECT_TRUE(sent);
  co_await stream.shutdown_write();
}

}  // namespace

TEST(SpdyHeaders, BlocksSurviveTheWayWithTheirState) {
  SpdyHeaderWriter writer;
  SpdyHeaderReader reader;
  for (int i = 0; i < 50; ++i) {
    Headers headers{{"streamtype", "data"}, {"port", std::to_string(8000 + i)}, {"a", "1"}, {"a", "2"}};
    auto got = reader.read(writer.write(headers));
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(got->get("port"), std::to_string(8000 + i));
    EXPECT_EQ(got->get_all("a").size(), 2u);
  }
}

TEST(SpdyHeaders, RefusesWhatDoesNotDecompressOrIsABomb) {
  SpdyHeaderReader garbage;
  EXPECT_FALSE(garbage.read("this is no zlib stream"));
  SpdyHeaderWriter writer;
  SpdyHeaderReader reader;
  EXPECT_FALSE(reader.read(writer.write({{"x", std::string(kSpdyHeaderBytes + 1, 'a')}})));
}

TEST(Spdy, CarriesStreamsBothWaysWithHalfClose) {
  run_until_done([]() -> Task<void> {
    auto executor = co_await boost::asio::this_coro::executor;
    Pair pair(executor);
    Streams a = co_await open_one(pair, "stdin");
    Streams b = co_await open_one(pair, "stdout");
    std::string big(1'000'000, 'x');
    Scope scope(executor);
    scope.spawn(write_and_end(*a.client, big));
    scope.spawn(write_and_end(*b.server, "answer"));
    auto at_server = co_await read_to_end(*a.server, 2'000'000);
    auto at_client = co_await read_to_end(*b.client, 100);
    EXPECT_EQ(at_server.value_or("").size(), big.size());
    EXPECT_EQ(at_client.value_or("?"), "answer");
    // The other direction of a half-closed stream still works.
    co_await write_and_end(*a.server, "bye");
    auto bye = co_await read_to_end(*a.client, 100);
    EXPECT_EQ(bye.value_or("?"), "bye");
    co_await scope.join();
    co_await pair.client->close();
    auto end = co_await pair.server->accept();
    EXPECT_TRUE(end && !*end);
    co_await pair.server->close();
  });
}

TEST(Spdy, ServerOpensStreamsToo) {
  run_until_done([]() -> Task<void> {
    Pair pair(co_await boost::asio::this_coro::executor);
    auto opened = co_await pair.server->open({{"streamtype", "x"}});
    auto accepted = co_await pair.client->accept();
    EXPECT_TRUE(opened && accepted && *accepted);
    if (accepted && *accepted) EXPECT_EQ((*accepted)->id % 2, 0u);
    co_await pair.client->close();
    co_await pair.server->close();
  });
}

TEST(Spdy, DroppedStreamEndsThePeersOneAfterWhatWasSent) {
  run_until_done([]() -> Task<void> {
    Pair pair(co_await boost::asio::this_coro::executor);
    Streams s = co_await open_one(pair, "error");
    co_await s.server->write(one("status"));
    s.server = nullptr;
    auto text = co_await read_to_end(*s.client, 100);
    EXPECT_EQ(text.value_or("?"), "status");
    EXPECT_FALSE(co_await s.client->write(one("more")));
    Streams again = co_await open_one(pair, "data");
    co_await write_and_end(*again.client, "still works");
    auto more = co_await read_to_end(*again.server, 100);
    EXPECT_EQ(more.value_or("?"), "still works");
    co_await pair.client->close();
    co_await pair.server->close();
  });
}

TEST(Spdy, UnreadStreamHoldsTheSenderBack) {
  run_until_done([]() -> Task<void> {
    auto executor = co_await boost::asio::this_coro::executor;
    Pair pair(executor);
    Streams s = co_await open_one(pair, "stdout");
    auto sent = std::make_shared<size_t>(0);
    Scope scope(executor);
    scope.spawn([](Stream& stream, std::shared_ptr<size_t> count) -> Task<void> {
      for (int i = 0; i < 100; ++i) {
        if (!co_await stream.write(one(std::string(100'000, 'x')))) co_return;
        *count += 100'000;
      }
      co_await stream.shutdown_write();
    }(*s.server, sent));
    co_await sleep_for(50ms);
    EXPECT_LT(*sent, 1'500'000u);
    auto text = co_await read_to_end(*s.client, 20'000'000);
    EXPECT_EQ(text.value_or("").size(), 10'000'000u);
    co_await scope.wait_idle();
    co_await pair.client->close();
    co_await pair.server->close();
  });
}

TEST(Spdy, LostConnectionIsAnErrorAndNotAnEnd) {
  run_until_done([]() -> Task<void> {
    auto executor = co_await boost::asio::this_coro::executor;
    auto [a, b] = make_pipe(executor);
    auto client = SpdyConnection::make(std::move(a), false, executor);
    Scope scope(executor);
    auto failed = std::make_shared<bool>(false);
    scope.spawn([](SpdyConnection& c, std::shared_ptr<bool> out) -> Task<void> {
      auto opened = co_await c.open({{"streamtype", "x"}});
      *out = !opened;
    }(*client, failed));
    co_await sleep_for(5ms);
    b = nullptr;
    co_await scope.wait_idle();
    EXPECT_TRUE(*failed);
    co_await client->close();
  });
}

TEST(Spdy, GarbageEndsTheConnection) {
  run_until_done([]() -> Task<void> {
    auto executor = co_await boost::asio::this_coro::executor;
    for (std::string raw :
         {std::string("GET / HTTP/1.1\r\n\r\n this is not spdy at all"),
          std::string("\x80\x02\x00\x01\x00\x00\x00\x0a\0\0\0\1\0\0\0\0\0\0", 18),
          std::string("\x80\x03\x00\x01\x00\x00\x00\x0a\0\0\0\1\0\0\0\0\0\0", 18),
          std::string("\x80\x03\x00\x01\x00\xff\xff\xff", 8), std::string("\x80\x03\x00\x06\x00\x00\x00\x01x", 9)}) {
      auto [a, b] = make_pipe(executor);
      auto server = SpdyConnection::make(std::move(b), true, executor);
      co_await a->write(one(raw));
      co_await a->shutdown_write();
      auto got = co_await server->accept();
      EXPECT_TRUE(!got || !*got);
      co_await server->close();
    }
  });
}
