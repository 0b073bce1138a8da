// Bytes as a peer of SPDY, WebSocket, HTTP/1.1 and HTTP/2 connections: whatever comes, each ends without a crash.
#include "net/http_server.h"
#include "net/loop.h"
#include "net/spdy.h"
#include "net/websocket.h"

using namespace redoubt;
using namespace redoubt::net;

namespace {

Task<void> answer(Request request, Responder& responder) {
  auto body = co_await read_body(*request.body, 1000);
  (void)co_await responder.send(body ? 200 : 400, {}, {});
}

Task<void> feed(std::string bytes) {
  auto executor = co_await boost::asio::this_coro::executor;
  char which = bytes.empty() ? '\0' : bytes[0];
  if (!bytes.empty()) bytes.erase(0, 1);
  auto [peer, ours] = make_pipe(executor, 1 << 20);
  BytesList pieces;
  pieces.push_back(Bytes::take(std::move(bytes)));
  (void)co_await peer->write(std::move(pieces));
  (void)co_await peer->shutdown_write();
  if (which % 3 == 0) {
    auto spdy = SpdyConnection::make(std::move(ours), which & 4, executor);
    std::vector<StreamPtr> streams;
    while (true) {
      auto fresh = co_await spdy->accept();
      if (!fresh || !*fresh) break;
      streams.push_back(std::move((*fresh)->stream));
    }
    co_await spdy->close();
  } else if (which % 3 == 1) {
    auto socket = websocket_over(std::move(ours), which & 4, 10'000);
    while (true) {
      auto message = co_await socket->read();
      if (!message || !*message) break;
    }
  } else {
    HttpServerOptions options;
    options.handler = answer;
    ConnectionInfo info;
    if (which & 4) info.alpn = "h2";
    co_await serve_connection(std::move(ours), std::move(info), options);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  run_until_done([&] { return feed(std::string(reinterpret_cast<const char*>(data), size)); });
  return 0;
}
