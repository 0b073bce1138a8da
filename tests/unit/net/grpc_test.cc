#include <gtest/gtest.h>

#include "base/event.h"
#include "net/grpc_client.h"
#include "net/grpc_server.h"
#include "net/http_server.h"

using namespace redoubt;
using namespace redoubt::net;
using namespace std::chrono_literals;

namespace {

BytesList one(std::string text) {
  BytesList out;
  out.push_back(Bytes::take(std::move(text)));
  return out;
}

std::atomic<int> g_ended = 0;

Task<Result<void>> echo(GrpcCall& call) {
  auto name = call.metadata().get("agentid");
  RD_CO_TRYV(co_await call.send_headers({{"serverid", std::string(name.value_or("nobody"))}}));
  while (true) {
    RD_CO_TRY(auto message, co_await call.next());
    if (!message) co_return Result<void>{};
    BytesList back;
    back.push_back(std::move(*message));
    RD_CO_TRYV(co_await call.write(std::move(back)));
  }
}

Task<Result<void>> refuse(GrpcCall&) {
  co_return unauthorized("who? 100% nobody");
}

Task<Result<void>> sleep_long(GrpcCall&) {
  struct Guard {
    ~Guard() { ++g_ended; }
  } guard;
  co_await sleep_for(1h);
  co_return Result<void>{};
}

struct Fixture {
  LoopPool loops{2};
  std::unique_ptr<HttpServer> server;
  Fixture() {
    GrpcServerOptions grpc;
    grpc.methods = {{"/t.T/Echo", echo}, {"/t.T/Refuse", refuse}, {"/t.T/Sleep", sleep_long}};
    grpc.max_message_bytes = 1 << 20;
    HttpServerOptions options;
    options.address = "127.0.0.1";
    options.handler = make_grpc_handler(std::move(grpc));
    server = std::move(*HttpServer::start(loops, std::move(options)));
  }
  // A server goes after its loops have stopped: it may be about to accept on one.
  ~Fixture() { loops.stop(); }
  std::unique_ptr<HttpClient> http(Executor executor, bool http2 = true) {
    HttpClient::Options options;
    uint16_t port = server->port();
    options.dial = [port] { return tcp_connect({"127.0.0.1", port}, 5s); };
    options.host = fmt::format("127.0.0.1:{}", port);
    options.http2_prior_knowledge = http2;
    return HttpClient::make(executor, std::move(options));
  }
};

void run(std::function<Task<void>(Executor)> body) {
  run_until_done([&]() -> Task<void> {
    return [](std::function<Task<void>(Executor)> b) -> Task<void> {
      auto executor = co_await boost::asio::this_coro::executor;
      co_await b(executor);
    }(body);
  });
}

TEST(Grpc, BidirectionalStreamEchoesMessagesOfAllSizesWhole) {
  Fixture fixture;
  run([&](Executor executor) -> Task<void> {
    GrpcClient client(fixture.http(executor));
    auto stream = co_await client.open("/t.T/Echo", {{"agentid", "a1"}});
    EXPECT_TRUE(stream.has_value()) << stream.error().message();
    if (!stream) co_return;
    auto headers = co_await (*stream)->headers(5s);
    EXPECT_TRUE(headers.has_value());
    if (headers) EXPECT_EQ(headers->get("serverid"), "a1");
    for (size_t size : {size_t{0}, size_t{1}, size_t{5}, size_t{2047}, size_t{2048}, size_t{16 << 10}, size_t{200'000},
                        size_t{1 << 20}}) {
      std::string sent(size, static_cast<char>('a' + size % 26));
      co_await (*stream)->write(one(sent));
      auto back = co_await (*stream)->next();
      EXPECT_TRUE(back && *back);
      if (!back || !*back) co_return;
      EXPECT_EQ((*back)->view(), sent);
    }
    (*stream)->finish_writing();
    auto end = co_await (*stream)->next();
    EXPECT_TRUE(end && !*end);
  });
}

Task<void> write_many(GrpcStream& stream, char letter) {
  for (int i = 0; i < 200; ++i) co_await stream.write(one(std::string(1000 + i, letter)));
}

TEST(Grpc, MessagesOfSeveralWritersStayWhole) {
  Fixture fixture;
  run([&](Executor executor) -> Task<void> {
    GrpcClient client(fixture.http(executor));
    auto stream = co_await client.open("/t.T/Echo", {});
    EXPECT_TRUE(stream.has_value());
    if (!stream) co_return;
    Scope writers(executor);
    for (char c = 'a'; c < 'f'; ++c) writers.spawn(write_many(**stream, c));
    for (int i = 0; i < 1000; ++i) {
      auto back = co_await (*stream)->next();
      EXPECT_TRUE(back && *back);
      if (!back || !*back) break;
      EXPECT_EQ((*back)->view().find_first_not_of((*back)->data()[0]), std::string_view::npos);
    }
    co_await writers.join();
  });
}

TEST(Grpc, StatusOfAMethodReachesTheCallerWithItsMessage) {
  Fixture fixture;
  run([&](Executor executor) -> Task<void> {
    GrpcClient client(fixture.http(executor));
    auto stream = co_await client.open("/t.T/Refuse", {});
    EXPECT_TRUE(stream.has_value());
    if (!stream) co_return;
    auto headers = co_await (*stream)->headers(5s);
    EXPECT_FALSE(headers.has_value());
    if (headers) co_return;
    EXPECT_EQ(headers.error().code(), 401);
    EXPECT_EQ(headers.error().message(), "who? 100% nobody");
    auto unknown = co_await client.unary("/t.T/Nothing", "", 5s);
    EXPECT_FALSE(unknown.has_value());
    if (!unknown) EXPECT_EQ(unknown.error().code(), 501) << unknown.error().message();
  });
}

TEST(Grpc, TooLargeAMessageEndsTheCall) {
  Fixture fixture;
  run([&](Executor executor) -> Task<void> {
    GrpcClient client(fixture.http(executor));
    auto stream = co_await client.open("/t.T/Echo", {});
    EXPECT_TRUE(stream.has_value());
    if (!stream) co_return;
    co_await (*stream)->write(one(std::string((1 << 20) + 1, 'x')));
    auto back = co_await (*stream)->next();
    EXPECT_FALSE(back.has_value());
    if (!back) EXPECT_EQ(back.error().code(), 429) << back.error().message();
  });
}

TEST(Grpc, DeadlineEndsAMethodOnTheServer) {
  Fixture fixture;
  g_ended = 0;
  run([&](Executor executor) -> Task<void> {
    GrpcClient client(fixture.http(executor));
    auto answer = co_await client.unary("/t.T/Sleep", "", 100ms);
    EXPECT_FALSE(answer.has_value());
    if (!answer) EXPECT_EQ(answer.error().code(), 504);
    EXPECT_EQ(g_ended.load(), 1);
  });
}

TEST(Grpc, DroppingACallCancelsTheMethod) {
  Fixture fixture;
  g_ended = 0;
  run([&](Executor executor) -> Task<void> {
    GrpcClient client(fixture.http(executor));
    {
      auto stream = co_await client.open("/t.T/Sleep", {});
      EXPECT_TRUE(stream.has_value());
      co_await sleep_for(50ms);
    }
    for (int i = 0; i < 100 && g_ended == 0; ++i) co_await sleep_for(10ms);
    EXPECT_EQ(g_ended.load(), 1);
  });
}

TEST(Grpc, ServerWithoutHttp2IsAnErrorAndNotAHang) {
  Fixture fixture;
  run([&](Executor executor) -> Task<void> {
    GrpcClient client(fixture.http(executor, false));
    auto stream = co_await client.open("/t.T/Echo", {});
    EXPECT_FALSE(stream.has_value());
  });
}

TEST(Grpc, TimeoutsAreReadInAllTheirUnits) {
  EXPECT_EQ(parse_grpc_timeout("5S"), 5s);
  EXPECT_EQ(parse_grpc_timeout("100m"), 100ms);
  EXPECT_EQ(parse_grpc_timeout("1H"), 1h);
  EXPECT_EQ(parse_grpc_timeout("7u"), 7us);
  for (const char* bad : {"", "S", "5", "5s", "-5S", "123456789S", "5 S"}) EXPECT_FALSE(parse_grpc_timeout(bad)) << bad;
}

}  // namespace
