#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "base/blocking.h"
#include "base/event.h"
#include "net/http1.h"
#include "net/http_client.h"
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

std::atomic<int> g_watch_ended = 0;

// Echoes bodies, streams numbers, upgrades to an echo, and sleeps.
Task<void> handle(Request request, Responder& responder) {
  if (request.path == "/echo") {
    auto body = co_await read_body(*request.body, 1 << 20);
    if (!body) {
      co_await responder.send(body.error().code(), {}, one(body.error().message()));
      co_return;
    }
    co_await responder.send(200, {{"x-query", request.query}, {"x-method", request.method}}, one(std::move(*body)));
  } else if (request.path == "/stream") {
    auto writer = co_await responder.start(200, {});
    for (int i = 0; i < 1000; ++i) co_await (*writer)->write(one(std::string(1000, static_cast<char>('a' + i % 26))));
    co_await (*writer)->finish();
  } else if (request.path == "/big") {
    BytesList pieces;
    Bytes piece = Bytes::take(std::string(5000, 'x'));
    for (int i = 0; i < 4000; ++i) pieces.push_back(piece);
    co_await responder.send(200, {}, std::move(pieces));
  } else if (request.path == "/watch") {
    struct Guard {
      ~Guard() { ++g_watch_ended; }
    } guard;
    auto writer = co_await responder.start(200, {});
    co_await (*writer)->write(one("first\n"));
    co_await sleep_for(1h);
  } else if (request.wants_upgrade()) {
    auto stream = co_await responder.upgrade({{"connection", "Upgrade"}, {"upgrade", "echo"}});
    auto text = co_await read_to_end(**stream, 1 << 20);
    if (text) co_await (*stream)->write(one(*text + "!"));
    co_await (*stream)->shutdown_write();
    char rest[16];
    co_await (*stream)->read_some(rest);
  } else {
    co_await responder.send(404, {}, {});
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
  // A server goes after its loops have stopped: it may be about to accept on one.
  ~Fixture() { loops.stop(); }
  HttpClient::Options to_server(bool http2) {
    HttpClient::Options options;
    uint16_t port = server->port();
    options.dial = [port] { return tcp_connect({"127.0.0.1", port}, 5s); };
    options.host = fmt::format("127.0.0.1:{}", port);
    options.http2_prior_knowledge = http2;
    return options;
  }
};

void run(std::function<Task<void>(Executor)> body) {
  boost::asio::io_context loop(1);
  Scope scope(loop.get_executor(), "test");
  scope.spawn(body(loop.get_executor()));
  loop.run();
  wait_for_blocking();
}

Task<void> exchange(Executor executor, HttpClient::Options options) {
  auto client = HttpClient::make(executor, std::move(options));
  for (int i = 0; i < 3; ++i) {
    ClientRequest request;
    request.method = "POST";
    request.target = "/echo?a=b";
    request.body = one(std::string(300'000, 'z'));
    auto response = co_await client->send(std::move(request));
    EXPECT_TRUE(response) << response.error().message();
    if (!response) co_return;
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->headers.get("x-query"), "a=b");
    EXPECT_EQ((co_await read_body(*response->body, 1 << 20))->size(), 300'000u);
  }
  ClientRequest too_large;
  too_large.method = "POST";
  too_large.target = "/echo";
  too_large.body = one(std::string((1 << 20) + 1, 'z'));
  auto refused = co_await client->send(std::move(too_large));
  EXPECT_TRUE(refused && refused->status == 413);
  for (auto [path, size] : {std::pair{"/stream", 1'000'000}, std::pair{"/big", 20'000'000}}) {
    ClientRequest request;
    request.target = path;
    auto response = co_await client->send(std::move(request));
    EXPECT_TRUE(response);
    if (!response) co_return;
    auto body = co_await read_body(*response->body, 1 << 26);
    EXPECT_TRUE(body) << body.error().message();
    EXPECT_EQ(body ? body->size() : 0, static_cast<size_t>(size));
  }
  // A dropped response ends the server's sleeping handler.
  int ended = g_watch_ended;
  {
    ClientRequest request;
    request.target = "/watch";
    auto response = co_await client->send(std::move(request));
    EXPECT_TRUE(response);
    EXPECT_EQ((co_await response->body->read_some())->view(), "first\n");
  }
  for (int i = 0; i < 200 && g_watch_ended == ended; ++i) co_await sleep_for(10ms);
  EXPECT_EQ(g_watch_ended, ended + 1);
}

Task<void> upgrade(Executor executor, HttpClient::Options options) {
  auto client = HttpClient::make(executor, std::move(options));
  ClientRequest request;
  request.method = "POST";
  request.target = "/up";
  request.headers = {{"connection", "Upgrade"}, {"upgrade", "echo"}};
  auto response = co_await client->upgrade(std::move(request));
  EXPECT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->status, 101);
  co_await response->stream->write(one("hello"));
  co_await response->stream->shutdown_write();
  EXPECT_EQ(*co_await read_to_end(*response->stream, 100), "hello!");
}

}  // namespace

TEST(Http, ExchangesOverHttp1) {
  Fixture f;
  run([&](Executor e) { return exchange(e, f.to_server(false)); });
}

TEST(Http, ExchangesOverHttp2) {
  Fixture f;
  run([&](Executor e) { return exchange(e, f.to_server(true)); });
}

TEST(Http, Upgrades) {
  Fixture f;
  run([&](Executor e) { return upgrade(e, f.to_server(false)); });
}

TEST(Http1, RefusesWhatTwoParsersCouldReadDifferently) {
  for (std::string_view text : {"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n", "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n",
                                "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", "GET /\r\n", "GET / HTTP/1.1\r\n",
                                "GET a HTTP/1.1\r\nHost: a\r\n", "G ET / HTTP/1.1\r\nHost: a\r\n",
                                "GET / HTTP/2.5\r\nHost: a\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n"}) {
    EXPECT_FALSE(parse_http1_request(text)) << text;
  }
  std::optional<uint64_t> length;
  EXPECT_FALSE(body_framing(Headers{{"content-length", "1"}, {"transfer-encoding", "chunked"}}, false, length));
  length.reset();
  EXPECT_FALSE(body_framing(Headers{{"content-length", "1"}, {"content-length", "2"}}, false, length));
  length.reset();
  EXPECT_FALSE(body_framing(Headers{{"content-length", "+1"}}, false, length));
  length.reset();
  EXPECT_FALSE(body_framing(Headers{{"transfer-encoding", "gzip, chunked"}}, false, length));
}

TEST(Http, DecodesQueries) {
  auto query = parse_query("a=1%202&b=c+d&e");
  ASSERT_TRUE(query);
  EXPECT_EQ((*query)[0].second, "1 2");
  EXPECT_EQ((*query)[1].second, "c d");
  EXPECT_EQ((*query)[2].first, "e");
  EXPECT_FALSE(parse_query("a=%zz"));
}
