#include "apiserver/aggregation/aggregator.h"
#include "apiserver/discovery/discovery.h"
#include "apiserver/pipeline/pipeline.h"
#include "base/json_text.h"
#include "base/metrics.h"

namespace redoubt::apiserver::pipeline {

namespace {

BytesList one(std::string text) {
  BytesList out;
  out.push_back(Bytes::take(std::move(text)));
  return out;
}

Task<void> send_document(Context& c, DiscoveryDocument document) {
  if (c.request.headers.get("if-none-match") == document.etag) {
    co_await c.responder.send(304, {{"etag", document.etag}}, {});
  } else {
    co_await c.responder.send(200,
                              {{"content-type", document.content_type}, {"etag", document.etag}, {"vary", "Accept"}},
                              one(std::move(document.body)));
  }
}

Task<void> serve_openapi(Services& s, Context& c, std::string path) {
  auto document = s.openapi.find(path, c.request.headers.get("accept").value_or(""));
  if (!document) co_return co_await send_status(c, document.error());
  const OpenApiDocuments::Document& d = **document;
  if (path == "/openapi/v3" && s.aggregator) {
    auto text = OpenApiDocuments::unpack(d);
    if (!text) co_return co_await send_status(c, text.error());
    // Small: one line a group version.
    if (auto merged = s.aggregator->openapi_index(*text)) co_return co_await send_document(c, std::move(*merged));
  }
  net::Headers headers{{"content-type", d.content_type}, {"etag", d.etag}, {"vary", "Accept, Accept-Encoding"}};
  if (c.request.headers.get("if-none-match") == d.etag) {
    co_await c.responder.send(304, std::move(headers), {});
  } else if (c.request.headers.has_token("accept-encoding", "gzip")) {
    headers.add("content-encoding", "gzip");
    co_await c.responder.send(200, std::move(headers), {d.packed});
  } else {
    auto text = OpenApiDocuments::unpack(d);
    if (!text) co_return co_await send_status(c, text.error());
    co_await c.responder.send(200, std::move(headers), one(std::move(*text)));
  }
}

// Discovery, with the groups of extension API servers where there are any.
std::optional<DiscoveryDocument> document_of(Services& s, const std::string& path, std::string_view accept) {
  if (s.aggregator) {
    if (auto merged = s.aggregator->discovery(path, accept)) return merged;
  }
  return discovery(path, accept);
}

}  // namespace

Task<void> serve_path(Services& s, Context& c) {
  std::string path = c.request.path;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  auto send = [&](std::string type, std::string body) {
    return c.responder.send(200, {{"content-type", std::move(type)}}, one(std::move(body)));
  };
  if (c.request.method != "GET" && c.request.method != "HEAD")
    co_return co_await send_status(c, method_not_allowed({}, c.request.method).error());
  for (const char* name : {"/livez", "/readyz", "/healthz"}) {
    if (path == name || path.starts_with(std::string(name) + "/")) co_return co_await serve_health(s, c);
  }
  if (path == "/version") {
    co_await send("application/json", version_json());
  } else if (path == "/metrics") {
    co_await send("text/plain; version=0.0.4; charset=utf-8", render_metrics());
  } else if (path == "/.well-known/openid-configuration") {
    std::string keys = s.options.service_account_jwks_uri;
    if (keys.empty())
      keys = fmt::format("https://{}:{}/openid/v1/jwks", s.options.advertise_address, s.options.advertise_port);
    std::string body = "{\"issuer\":";
    append_json_string(body, s.options.authentication.service_accounts.issuers.front());
    body += ",\"jwks_uri\":";
    append_json_string(body, keys);
    body += R"(,"response_types_supported":["id_token"],"subject_types_supported":["public"],)"
            R"("id_token_signing_alg_values_supported":["ES256","RS256"]})";
    co_await send("application/json", std::move(body));
  } else if (path == "/openid/v1/jwks") {
    co_await send("application/jwk-set+json", s.options.authentication.service_accounts.keys->jwks());
  } else if (path == "/openapi/v2" || path == "/openapi/v3" || path.starts_with("/openapi/v3/")) {
    co_await serve_openapi(s, c, path);
  } else if (auto own = s.options.documents.find(path); own != s.options.documents.end()) {
    auto page = co_await own->second();
    if (!page) co_return co_await send_status(c, page.error());
    page->headers.set("content-type", page->type);
    page->headers.set("cache-control", "no-store");
    co_await c.responder.send(200, std::move(page->headers), one(std::move(page->body)));
  } else if (auto document = document_of(s, path, c.request.headers.get("accept").value_or(""))) {
    co_await send_document(c, std::move(*document));
  } else if (path == "/") {
    co_await send(
        "application/json",
        R"({"paths":["/api","/apis","/healthz","/livez","/metrics","/openapi/v2","/openapi/v3","/openid/v1/jwks","/readyz","/version"]})");
  } else {
    co_await send_status(c, page_not_found().error());
  }
}

}  // namespace redoubt::apiserver::pipeline
