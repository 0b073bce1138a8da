#include "apiserver/proxy/relay.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>

#include "apiserver/proxy/limits.h"
#include "apiserver/proxy/proxy_url.h"
#include "net/http_exchange.h"
#include "net/splice.h"
#include "net/trailers.h"
#include "net/websocket.h"

namespace redoubt::apiserver {

namespace {

bool hop_by_hop(std::string_view name) {
  static constexpr std::string_view kNames[] = {"connection",
                                                "keep-alive",
                                                "proxy-connection",
                                                "te",
                                                "trailer",
                                                "transfer-encoding",
                                                "upgrade",
                                                "host",
                                                "proxy-authorization",
                                                "proxy-authenticate",
                                                "http2-settings"};
  return std::ranges::find(kNames, name) != std::end(kNames);
}

bool identity(std::string_view name) {
  static constexpr std::string_view kNames[] = {"authorization",   "cookie",          "x-forwarded-client-cert",
                                                "x-client-cert",   "ssl-client-cert", "x-ssl-client-cert",
                                                "x-ssl-client-dn", "client-cert",     "client-cert-chain"};
  return std::ranges::find(kNames, name) != std::end(kNames) || name.starts_with("impersonate-") ||
         name.starts_with("x-remote-") || name == "sec-websocket-protocol";
}

// WebSocket clients may carry their bearer token as a protocol; that one stays here.
void copy_websocket_protocols(const net::Headers& from, net::Headers& to) {
  std::string kept;
  for (std::string_view field : from.get_all("sec-websocket-protocol")) {
    while (!field.empty()) {
      size_t comma = field.find(',');
      std::string_view item = field.substr(0, comma);
      field = comma == std::string_view::npos ? std::string_view() : field.substr(comma + 1);
      while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
      while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
      if (item.empty() || item.starts_with("base64url.bearer.authorization.k8s.io.")) continue;
      if (!kept.empty()) kept += ", ";
      kept += item;
    }
  }
  if (!kept.empty()) to.add("sec-websocket-protocol", std::move(kept));
}

net::Headers passed_back(const net::Headers& from) {
  net::Headers out;
  for (const auto& [name, value] : from) {
    if (!hop_by_hop(name) && !from.has_token("connection", name)) out.add(name, value);
  }
  return out;
}

// Fields behind a body that may not say what belongs in front of it.
net::Headers passed_trailers(const net::Headers& from) {
  net::Headers out;
  for (const auto& [name, value] : from) {
    if (hop_by_hop(name) || identity(name) || name == "content-length" || name == "content-type" ||
        name == "content-encoding" || name == "set-cookie" || name == "location" || name.starts_with(':'))
      continue;
    out.add(name, value);
  }
  return out;
}

bool has_body(const net::Request& request) {
  if (request.content_length) return *request.content_length > 0;
  if (request.version_major == 2) return request.method != "GET" && request.method != "HEAD";
  return request.headers.has("transfer-encoding");
}

Result<net::ClientRequest> onward(const net::Request& request, RelayTarget& to, const RelayHooks& hooks) {
  // HTTP/2 carries bytes in its pseudo-headers that would mean something else in a request line.
  if (!safe_target(to.target) || !safe_target(to.authority) || !safe_target(request.method))
    return bad_request("the request's method, path or host has characters that no URL has");
  net::ClientRequest out;
  out.method = request.method;
  out.target = std::move(to.target);
  out.authority = std::move(to.authority);
  out.headers = forwardable_headers(request.headers);
  out.header_timeout = kBackendHeaderTimeout;
  if (request.headers.has_token("te", "trailers")) out.headers.add("te", "trailers");
  if (hooks.request_headers) hooks.request_headers(out.headers);
  return out;
}

// What the client made of a backend's bytes: that they were no HTTP is not this request's fault.
Error backend_failure(const Status& status) {
  if (status.code() == 400 || status.code() == 413 || status.code() == 431)
    return Error(Status(502, "", "the backend's answer can't be read: " + status.message()));
  return Error(status);
}

// What a sender of the request's body and the reader of the answer share.
struct Sending {
  explicit Sending(Executor executor) : tasks(executor, "request body") {}
  std::unique_ptr<net::HttpExchange> exchange;
  Scope tasks;
};

Task<void> send_body(net::BodyReader& from, std::unique_ptr<net::BodyWriter> to) {
  while (true) {
    auto piece = co_await from.read_some();
    if (!piece) co_return;  // `to`, dropped unfinished, breaks the backend's request too
    if (piece->empty()) break;
    BytesList pieces;
    pieces.push_back(std::move(*piece));
    if (!co_await to->write(std::move(pieces))) co_return;
  }
  (void)co_await to->finish(passed_trailers(net::trailers_of(&from)));
}

Task<Result<void>> pass_answer(net::Responder& responder, net::ClientResponse answer, const RelayHooks& hooks,
                               bool head) {
  if (answer.status < 200 || answer.status > 999)
    co_return Error(Status(502, "", fmt::format("the backend answered with status {}", answer.status)));
  net::Headers headers = passed_back(answer.headers);
  if (hooks.answer_headers) RD_CO_TRYV(hooks.answer_headers(answer.status, headers));
  RelayHooks::Transform transform;
  if (hooks.body && !head) transform = hooks.body(answer.status, headers);
  if (answer.status == 204 || answer.status == 304) {
    headers.remove("content-length");
    (void)co_await responder.send(answer.status, std::move(headers), {});
    co_return Result<void>{};
  }
  auto writer = co_await responder.start(answer.status, std::move(headers));
  if (!writer) co_return Result<void>{};
  while (true) {
    auto piece = co_await answer.body->read_some();
    if (!piece) co_return Result<void>{};  // the writer, dropped unfinished, shows the client a broken body
    bool end = piece->empty();
    BytesList pieces;
    if (transform) {
      auto changed = transform(*piece, end);
      if (!changed) co_return Result<void>{};
      if (!changed->empty()) pieces.push_back(Bytes::take(std::move(*changed)));
    } else if (!end) {
      pieces.push_back(std::move(*piece));
    }
    if (!pieces.empty()) {
      if (!co_await (*writer)->write(std::move(pieces))) co_return Result<void>{};
    }
    if (end) break;
  }
  (void)co_await (*writer)->finish(passed_trailers(answer.trailers()));
  co_return Result<void>{};
}

}  // namespace

net::Headers forwardable_headers(const net::Headers& headers) {
  net::Headers out;
  for (const auto& [name, value] : headers) {
    if (hop_by_hop(name) || identity(name) || name == "expect" || name == "content-length" || name.starts_with(':') ||
        headers.has_token("connection", name))
      continue;
    out.add(name, value);
  }
  return out;
}

Status backend_error(const Status& status) {
  return Status(500, "", "error dialing backend: " + status.message());
}

Task<Result<void>> relay_request(net::Request& request, net::Responder& responder, RelayTarget to, RelayHooks hooks) {
  RD_CO_TRY(auto out, onward(request, to, hooks));
  bool head = request.method == "HEAD";
  bool idempotent = head || request.method == "GET" || request.method == "OPTIONS";
  if (idempotent && !has_body(request)) {
    auto answer = co_await to.client.send(std::move(out));
    if (!answer) co_return backend_failure(answer.error());
    co_return co_await pass_answer(responder, std::move(*answer), hooks, head);
  }
  auto executor = co_await boost::asio::this_coro::executor;
  auto sending = std::make_shared<Sending>(executor);
  if (request.content_length) {
    out.headers.add("content-length", std::to_string(*request.content_length));
  } else if (!has_body(request)) {
    out.headers.add("content-length", "0");
  }
  RD_CO_TRY(sending->exchange, co_await net::begin_exchange(to.client, std::move(out)));
  sending->tasks.spawn(send_body(*request.body, sending->exchange->body()));
  Result<void> done;
  std::exception_ptr cancelled;
  try {
    auto answer = co_await sending->exchange->response();
    done = answer ? co_await pass_answer(responder, std::move(*answer), hooks, head) : backend_failure(answer.error());
  } catch (...) {
    cancelled = std::current_exception();
  }
  if (cancelled) co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
  co_await sending->tasks.join();
  if (cancelled) std::rethrow_exception(cancelled);
  co_return done;
}

Task<Result<void>> pass_refusal(net::Responder& responder, net::UpgradeResponse refusal) {
  // A 1xx, a success or a redirect in answer to an upgrade is nothing that a client should act on.
  if (refusal.status < 400)
    co_return Error(Status(500, "", fmt::format("invalid upgrade response: status code {}", refusal.status)));
  auto text = refusal.body ? co_await net::read_body(*refusal.body, kMaxRefusalBytes) : Result<std::string>("");
  net::Headers headers;
  if (auto type = refusal.headers.get("content-type")) headers.add("content-type", std::string(*type));
  BytesList body;
  if (text) body.push_back(Bytes::take(std::move(*text)));
  (void)co_await responder.send(refusal.status, std::move(headers), std::move(body));
  co_return Result<void>{};
}

Task<Result<void>> relay_upgrade(net::Request& request, net::Responder& responder, RelayTarget to, RelayHooks hooks) {
  bool over_http2 = request.version_major == 2 && request.method == "CONNECT" && request.protocol == "websocket";
  if (!over_http2 && (request.version_major != 1 || !request.wants_upgrade() || request.method == "CONNECT"))
    co_return bad_request("Upgrade request required");
  RD_CO_TRY(auto out, onward(request, to, hooks));
  std::string wanted;
  net::Headers handshake;
  if (over_http2) {
    out.method = "GET";
    wanted = "websocket";
    handshake = net::websocket_client_headers({});
    for (const char* name : {"sec-websocket-key", "sec-websocket-version"}) {
      if (auto value = handshake.get(name)) out.headers.set(name, std::string(*value));
    }
  } else {
    wanted = request.headers.get("upgrade").value_or("");
    // HTTP/2 behind an upgrade would be requests that nobody has authorized.
    if (request.headers.has_token("upgrade", "h2c")) co_return bad_request("an upgrade to h2c is not passed on");
  }
  copy_websocket_protocols(request.headers, out.headers);
  out.headers.add("connection", "Upgrade");
  out.headers.add("upgrade", wanted);
  auto answer = co_await to.client.upgrade(std::move(out));
  if (!answer) co_return backend_failure(answer.error());
  if (answer->status != 101) co_return co_await pass_refusal(responder, std::move(*answer));
  if (!answer->headers.has_token("connection", "upgrade") || !answer->headers.has("upgrade"))
    co_return Error(Status(502, "", "the backend changed protocols without saying to which"));
  net::Headers headers = passed_back(answer->headers);
  headers.remove("content-length");
  if (hooks.answer_headers) RD_CO_TRYV(hooks.answer_headers(101, headers));
  if (over_http2) {
    headers.remove("sec-websocket-accept");
  } else {
    headers.set("connection", "Upgrade");
    headers.set("upgrade", std::string(answer->headers.get("upgrade").value_or("")));
  }
  auto stream = co_await responder.upgrade(std::move(headers));
  if (!stream) co_return Result<void>{};
  co_await net::splice_limited(std::move(*stream), std::move(answer->stream), kHalfClosed);
  co_return Result<void>{};
}

}  // namespace redoubt::apiserver
