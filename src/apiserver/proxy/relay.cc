#include "apiserver/proxy/relay.h"

#include <algorithm>

namespace redoubt::apiserver {

namespace {

constexpr size_t kMaxRefusalBytes = 64 * 1024;
// A relayed request may be a log that follows or a slow profile: its headers come when they come, but not never.
constexpr std::chrono::milliseconds kHeaderTimeout{60'000};

bool hop_by_hop(std::string_view name) {
  static constexpr std::string_view kNames[] = {"connection", "keep-alive",        "proxy-connection", "te",  "trailer",
                                                "upgrade",    "transfer-encoding", "content-length",   "host"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

bool credential(std::string_view name) {
  return name == "authorization" || name == "cookie" || name == "proxy-authorization" ||
         name.starts_with("impersonate-") || name.starts_with("x-remote-") || name == "sec-websocket-protocol";
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

net::Headers answer_headers(const net::Headers& from) {
  net::Headers out;
  for (const auto& [name, value] : from) {
    if (!hop_by_hop(name) || name == "content-length") out.add(name, value);
  }
  return out;
}

}  // namespace

net::Headers forwardable_headers(const net::Headers& headers) {
  net::Headers out;
  for (const auto& [name, value] : headers) {
    if (hop_by_hop(name) || credential(name) || name == "expect" || headers.has_token("connection", name)) continue;
    out.add(name, value);
  }
  return out;
}

Status backend_error(const Status& status) {
  return Status(500, "", "error dialing backend: " + status.message());
}

Task<Result<void>> relay_request(net::Request& request, net::Responder& responder, net::HttpClient& client,
                                 std::string target) {
  net::ClientRequest out;
  out.method = request.method;
  out.target = std::move(target);
  out.headers = forwardable_headers(request.headers);
  out.header_timeout = kHeaderTimeout;
  bool has_body = request.content_length ? *request.content_length > 0 : request.headers.has("transfer-encoding");
  if (request.version_major == 2 && !request.content_length && request.method != "GET" && request.method != "HEAD")
    has_body = true;
  if (has_body) {
    out.body_source = [body = request.body.get()] { return body->read_some(); };
  }
  auto answer = co_await client.send(std::move(out));
  if (!answer) co_return Error(backend_error(answer.error()));
  auto writer = co_await responder.start(answer->status, answer_headers(answer->headers));
  if (!writer) co_return Result<void>{};
  while (true) {
    auto piece = co_await answer->body->read_some();
    if (!piece) co_return Result<void>{};  // the writer, dropped unfinished, shows the client a broken body
    if (piece->empty()) break;
    BytesList pieces;
    pieces.push_back(std::move(*piece));
    if (!co_await (*writer)->write(std::move(pieces))) co_return Result<void>{};
  }
  (void)co_await (*writer)->finish();
  co_return Result<void>{};
}

Task<Result<void>> pass_refusal(net::Responder& responder, net::UpgradeResponse refusal) {
  auto text = refusal.body ? co_await net::read_body(*refusal.body, kMaxRefusalBytes) : Result<std::string>("");
  net::Headers headers;
  if (auto type = refusal.headers.get("content-type")) headers.add("content-type", std::string(*type));
  BytesList body;
  if (text) body.push_back(Bytes::take(std::move(*text)));
  // A 1xx or a redirect of a kubelet is nothing that a client should act on.
  int status = refusal.status >= 400 ? refusal.status : 502;
  (void)co_await responder.send(status, std::move(headers), std::move(body));
  co_return Result<void>{};
}

Task<Result<void>> relay_upgrade(net::Request& request, net::Responder& responder, net::HttpClient& client,
                                 std::string target) {
  if (request.version_major != 1 || !request.wants_upgrade() || request.method == "CONNECT")
    co_return bad_request("Upgrade request required");
  net::ClientRequest out;
  out.method = request.method;
  out.target = std::move(target);
  out.headers = forwardable_headers(request.headers);
  copy_websocket_protocols(request.headers, out.headers);
  out.headers.add("connection", "Upgrade");
  out.headers.add("upgrade", std::string(request.headers.get("upgrade").value_or("")));
  auto answer = co_await client.upgrade(std::move(out));
  if (!answer) co_return Error(backend_error(answer.error()));
  if (answer->status != 101) co_return co_await pass_refusal(responder, std::move(*answer));
  net::Headers headers = answer_headers(answer->headers);
  headers.remove("content-length");
  headers.set("connection", "Upgrade");
  headers.set("upgrade", std::string(answer->headers.get("upgrade").value_or("")));
  auto stream = co_await responder.upgrade(std::move(headers));
  if (!stream) co_return Result<void>{};
  co_await net::splice(std::move(*stream), std::move(answer->stream));
  co_return Result<void>{};
}

}  // namespace redoubt::apiserver
