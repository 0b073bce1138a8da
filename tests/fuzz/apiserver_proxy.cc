// Bytes as what the API server's proxies meet: names, paths, links, pages and cookies; a backend's answer; a WebSocket
// client's channels against a kubelet's SPDY streams. Whatever comes, each ends without a crash, and what goes on stays
// within its bounds.
#include "apiserver/proxy/exec_translate.h"
#include "apiserver/proxy/html_rewriter.h"
#include "apiserver/proxy/page_body.h"
#include "apiserver/proxy/proxy_cookies.h"
#include "apiserver/proxy/proxy_url.h"
#include "apiserver/proxy/relay.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "net/websocket.h"

using namespace redoubt;
using namespace redoubt::net;
using namespace redoubt::apiserver;

namespace {

const std::string kPrefix = "/api/v1/namespaces/d/services/web/proxy";

void insist(bool ok) {
  if (!ok) __builtin_trap();
}

void texts(const std::string& text) {
  (void)split_proxy_name(text);
  std::string clean = clean_path(text);
  insist(clean.starts_with('/') && clean.find("//") == std::string::npos && clean.find("/../") == std::string::npos);
  insist(clean_path(clean) == clean);
  if (auto path = split_proxy_path(text, 6)) insist(path->path.empty() || path->path.starts_with('/'));
  auto links = std::make_shared<LinkRewriter>(kPrefix, "10.0.0.1:80", "api:6443");
  std::string link = links->rewrite(text);
  insist(links->rewrite(link) == link || links->leads_elsewhere(link) || !link.starts_with(kPrefix));
  HtmlRewriter whole([&](std::string_view url) { return links->rewrite(url); });
  std::string once = whole.feed(text) + whole.finish();
  HtmlRewriter pieces([&](std::string_view url) { return links->rewrite(url); });
  std::string again;
  for (size_t at = 0; at < text.size(); at += 3) again += pieces.feed(std::string_view(text).substr(at, 3));
  again += pieces.finish();
  if (text.size() < HtmlRewriter::kMaxTagBytes) insist(once == again);
  for (const char* coding : {"", "gzip", "deflate"}) {
    Headers headers{{"content-type", "text/html"}};
    if (*coding != 0) headers.add("content-encoding", coding);
    if (auto transform = page_transform(headers, links)) {
      if (transform(text, false)) (void)transform({}, true);
    }
  }
  CookieScope cookies(kPrefix);
  Headers answer{{"set-cookie", text}};
  cookies.outward(answer);
  for (std::string_view cookie : answer.get_all("set-cookie"))
    insist(cookie.find("; Path=" + kPrefix) != std::string::npos);
  (void)cookies.inward({{"cookie", text}});
}

// One connection to a server of ours, whose handler talks to a backend that says `backend`.
Task<void> converse(std::string client_says, std::string backend, bool exec) {
  auto executor = co_await boost::asio::this_coro::executor;
  HttpClient::Options options;
  options.host = "backend:80";
  options.dial = [executor, backend]() -> Task<Result<StreamPtr>> {
    auto [peer, ours] = make_pipe(executor, 1 << 20);
    BytesList pieces;
    pieces.push_back(Bytes::copy(backend));
    (void)co_await peer->write(std::move(pieces));
    (void)co_await peer->shutdown_write();
    // The peer's end must stay for what is written to it.
    auto* kept = new StreamPtr(std::move(peer));
    boost::asio::post(executor, [kept] { delete kept; });
    co_return std::move(ours);
  };
  auto client = HttpClient::make(executor, std::move(options));
  HttpServerOptions server;
  server.handler = [&](Request request, Responder& responder) -> Task<void> {
    Result<void> done;
    if (exec) {
      done = co_await translate_exec(request, responder, *client, "/exec/d/p/c", {true, true, true, true}, {});
    } else if (request.wants_upgrade()) {
      done = co_await relay_upgrade(request, responder, {*client, "/", ""});
    } else {
      done = co_await relay_request(request, responder, {*client, "/", ""});
    }
    if (!done && !responder.started()) co_await responder.send(done.error().code(), {}, {});
  };
  auto [peer, ours] = make_pipe(executor, 1 << 20);
  BytesList pieces;
  pieces.push_back(Bytes::take(std::move(client_says)));
  (void)co_await peer->write(std::move(pieces));
  (void)co_await peer->shutdown_write();
  co_await serve_connection(std::move(ours), {}, server);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  if (text.empty()) return 0;
  int which = text[0] % 3;
  text.erase(0, 1);
  if (which == 0) {
    texts(text);
    return 0;
  }
  size_t half = text.find("\xff\xfe");
  std::string client = text.substr(0, half), backend = half == std::string::npos ? "" : text.substr(half + 2);
  if (which == 1) {
    run_until_done([&] {
      return converse(
          "GET /x HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
          "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: v5.channel.k8s.io\r\n\r\n" +
              client,
          "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: SPDY/3.1\r\n\r\n" + backend, true);
    });
  } else {
    run_until_done([&] { return converse("GET /x HTTP/1.1\r\nhost: a\r\n" + client + "\r\n\r\n", backend, false); });
  }
  return 0;
}
