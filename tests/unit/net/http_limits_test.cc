#include <gtest/gtest.h>

#include "net/http2.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/limits.h"

using namespace redoubt;
using namespace redoubt::net;
using namespace std::chrono_literals;

namespace {

BytesList one(std::string text) {
  BytesList out;
  out.push_back(Bytes::take(std::move(text)));
  return out;
}

Task<void> handle(Request request, Responder& responder) {
  if (request.path == "/refuse") {
    co_await responder.send(413, {}, one(std::string(20'000, 'r')));
  } else if (request.path == "/stream") {
    auto writer = co_await responder.start(200, {});
    if (writer) {
      co_await (*writer)->write(one("streamed"));
      co_await (*writer)->finish();
    }
  } else if (request.path == "/sleep") {
    co_await sleep_for(1h);
  } else {
    co_await responder.send(200, {}, one("ok"));
  }
}

struct Fixture {
  LoopPool loops{2};
  std::unique_ptr<HttpServer> server;
  Fixture() {
    HttpServerOptions options;
    options.address = "127.0.0.1";
    options.handler = handle;
    server = std::move(*HttpServer::start(loops, std::move(options)));
  }
  ~Fixture() { loops.stop(); }
  std::unique_ptr<HttpClient> client(Executor executor, bool http2) {
    HttpClient::Options options;
    options.dial = [port = server->port()] { return tcp_connect({"127.0.0.1", port}, 5s); };
    options.host = "127.0.0.1";
    options.http2_prior_knowledge = http2;
    return HttpClient::make(executor, std::move(options));
  }
  Task<StreamPtr> raw() {
    auto stream = co_await tcp_connect({"127.0.0.1", server->port()}, 5s);
    co_return std::move(*stream);
  }
};

}  // namespace

TEST(HttpLimits, ClientGetsTheAnswerThoughItsBodyIsNotRead) {
  Fixture f;
  run_until_done([&]() -> Task<void> {
    auto executor = co_await boost::asio::this_coro::executor;
    for (bool http2 : {false, true}) {
      auto client = f.client(executor, http2);
      for (int i = 0; i < 3; ++i) {
        ClientRequest request;
        request.method = "POST";
        request.target = "/refuse";
        request.body = one(std::string(5'000'000, 'x'));
        auto answer = co_await client->send(std::move(request));
        EXPECT_TRUE(answer) << http2 << answer.error().message();
        if (!answer) continue;
        EXPECT_EQ(answer->status, 413);
        auto body = co_await read_body(*answer->body, 1 << 20);
        EXPECT_EQ(body.value_or("").size(), 20'000u) << http2;
      }
    }
  });
}

TEST(HttpLimits, HeadOfAStreamedAnswerHasNoBodyAndKeepsTheConnection) {
  Fixture f;
  run_until_done([&]() -> Task<void> {
    auto stream = co_await f.raw();
    co_await stream->write(
        one("HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    auto text = co_await read_to_end(*stream, 10'000);
    EXPECT_TRUE(text);
    size_t second = text.value_or("").find("HTTP/1.1 200", 5);
    EXPECT_NE(second, std::string::npos) << text.value_or("");
    EXPECT_EQ(text.value_or("").find("streamed"), std::string::npos);
    EXPECT_TRUE(text.value_or("").ends_with("\r\n\r\nok"));
  });
}

TEST(HttpLimits, OldClientsGetNoChunks) {
  Fixture f;
  run_until_done([&]() -> Task<void> {
    auto stream = co_await f.raw();
    co_await stream->write(one("GET /stream HTTP/1.0\r\n\r\n"));
    auto text = co_await read_to_end(*stream, 10'000);
    EXPECT_TRUE(text.value_or("").ends_with("\r\n\r\nstreamed")) << text.value_or("");
  });
}

TEST(HttpLimits, AnswersContradictoryFramingWith400AndCloses) {
  Fixture f;
  run_until_done([&]() -> Task<void> {
    for (std::string head :
         {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 3\r\nContent-Length: 4\r\n",
          "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "X: a\nY: b\r\n", " folded: 1\r\n",
          "Content-Length: 0x3\r\n"}) {
      auto stream = co_await f.raw();
      co_await stream->write(
          one("POST / HTTP/1.1\r\nHost: a\r\n" + head + "\r\nabcGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"));
      co_await stream->shutdown_write();
      auto text = co_await read_to_end(*stream, 10'000);
      EXPECT_TRUE(text.value_or("").starts_with("HTTP/1.1 400 ")) << head << text.value_or("");
      EXPECT_EQ(text.value_or("").find("HTTP/1.1", 5), std::string::npos) << head;
    }
  });
}

TEST(HttpLimits, AnswersAHeaderThatIsTooLargeWith431) {
  Fixture f;
  run_until_done([&]() -> Task<void> {
    auto stream = co_await f.raw();
    co_await stream->write(one("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(70'000, 'x')));
    auto text = co_await read_to_end(*stream, 10'000);
    EXPECT_TRUE(text.value_or("").starts_with("HTTP/1.1 431 ")) << text.value_or("");
  });
}

TEST(HttpLimits, DropsAPeerThatKeepsResettingStreams) {
  Fixture f;
  run_until_done([&]() -> Task<void> {
    auto executor = co_await boost::asio::this_coro::executor;
    Http2Connection::Options options;
    options.server = false;
    auto connection = std::make_shared<Http2Connection>(co_await f.raw(), std::move(options), executor);
    Scope scope(executor);
    scope.spawn([](std::shared_ptr<Http2Connection> c) -> Task<void> { co_await c->run(); }(connection));
    int sent = 0;
    while (sent < 3000 && connection->usable()) {
      // The request must be on its way before it is taken back.
      std::vector<std::shared_ptr<Http2Stream>> streams;
      for (int i = 0; i < 50; ++i, ++sent) {
        auto stream = connection->request(
            {{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/sleep"}}, false);
        if (stream) streams.push_back(*stream);
      }
      co_await sleep_for(1ms);
      for (auto& stream : streams) stream->reset(8);
    }
    for (int i = 0; i < 100 && connection->usable(); ++i) co_await sleep_for(10ms);
    EXPECT_FALSE(connection->usable());
    EXPECT_GE(sent, 500);
    co_await scope.join();
  });
}

TEST(HttpLimits, DrainEndsIdleConnectionsAtOnce) {
  Fixture f;
  run_until_done([&]() -> Task<void> {
    auto executor = co_await boost::asio::this_coro::executor;
    auto http1 = f.client(executor, false);
    auto http2 = f.client(executor, true);
    for (HttpClient* client : {http1.get(), http2.get()}) {
      auto answer = co_await client->send({});
      EXPECT_TRUE(answer);
      if (!answer) co_return;
      auto body = co_await read_body(*answer->body, 100);
      EXPECT_EQ(body.value_or("?"), "ok");
    }
    auto start = std::chrono::steady_clock::now();
    co_await f.server->drain(10s);
    EXPECT_LT(std::chrono::steady_clock::now() - start, 2s);
  });
}

// A client of a proxy goes away while its slow backend has not answered.
TEST(HttpLimits, ACancelledRequestLeavesNoDeadlineBehind) {
  Fixture f;
  run_until_done([&]() -> Task<void> {
    auto executor = co_await boost::asio::this_coro::executor;
    for (bool http2 : {false, true}) {
      for (int i = 0; i < 8; ++i) {
        auto client = f.client(executor, http2);
        Scope scope(executor);
        auto answered = std::make_shared<bool>(false);
        scope.spawn([](HttpClient& c, std::shared_ptr<bool> out) -> Task<void> {
          ClientRequest request;
          request.target = "/sleep";
          request.header_timeout = 200ms;
          (void)co_await c.send(std::move(request));
          *out = true;
        }(*client, answered));
        co_await sleep_for(50ms);
        co_await scope.join();
        EXPECT_FALSE(*answered);
      }
    }
    co_await sleep_for(400ms);
  });
}
