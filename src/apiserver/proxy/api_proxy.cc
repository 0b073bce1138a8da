#include "apiserver/proxy/api_proxy.h"

#include <openssl/evp.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/this_coro.hpp>

#include "apiserver/proxy/limits.h"
#include "apiserver/proxy/page_body.h"
#include "apiserver/proxy/proxy_cookies.h"
#include "apiserver/proxy/relay.h"
#include "base/encoding.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/tls_unverified.h"

namespace redoubt::apiserver {

namespace {

// Marks an error that came before the backend can have seen anything: the next endpoint may be tried.
constexpr std::string_view kDialFailed = "DialFailed";

std::string digest(const BackendTrust& trust) {
  std::string all;
  for (const std::string* part : {&trust.ca_pem, &trust.server_name, &trust.certificate_pem, &trust.private_key_pem}) {
    all += fmt::format("{}:", part->size());
    all += *part;
  }
  unsigned char out[32];
  EVP_Digest(all.data(), all.size(), out, nullptr, EVP_sha256(), nullptr);
  return hex_encode({reinterpret_cast<char*>(out), sizeof out});
}

Task<Result<net::StreamPtr>> dial_backend(egress::Dialer* dialer, egress::PathId path, egress::Target target,
                                          bool confidential, std::string verification) {
  egress::DialOptions options;
  options.require_confidential = confidential;
  std::string node = target.node, address = target.address.to_string();
  auto stream = co_await dialer->dial(path, std::move(target), options);
  if (stream) {
    log_info("connection opened",
             {{"path", path_name(path)}, {"node", node}, {"address", address}, {"verification", verification}});
    co_return stream;
  }
  Status why = stream.error();
  if (why.is("Forbidden"))
    co_return Error(Status(403, "Forbidden",
                           fmt::format("{} (--proxy-plaintext=allow would send it in the clear)", why.message())));
  co_return Error(Status(why.code(), std::string(kDialFailed), why.message()));
}

// Headers of a backend that would speak for the API server's whole origin, or for the API server itself.
void remove_origin_headers(net::Headers& headers) {
  for (const char* name :
       {"access-control-allow-credentials", "access-control-allow-headers", "access-control-allow-methods",
        "access-control-allow-origin", "strict-transport-security", "public-key-pins", "public-key-pins-report-only",
        "clear-site-data", "service-worker-allowed", "alt-svc"})
    headers.remove(name);
  headers.remove(kVerificationHeader);
}

std::string forwarded_for(const net::Request& request) {
  std::string out;
  for (std::string_view before : request.headers.get_all("x-forwarded-for")) {
    out += before;
    out += ", ";
  }
  return out + (request.connection ? request.connection->remote_address : "");
}

// What to tell a client of an error on the way to the backend.
Status client_error(const Status& status, const Backend& backend, bool upgrade) {
  if (is_verification_failure(status))
    return verification_failure(path_name(backend.path), backend.node, backend.address.to_string(), status);
  bool ours = status.code() == 400 || status.code() == 403 || status.code() == 502;
  if (ours && !status.is(kDialFailed)) return status;
  if (upgrade) return status.is(kDialFailed) ? backend_error(status) : Status(500, "", status.message());
  return service_unavailable("error trying to reach service: " + status.message()).error();
}

void count(egress::PathId path, std::string_view verification) {
  counter("redoubt_proxy_requests_total",
          "Requests passed on by the API server's proxies, by how the backend was known.",
          {{"path", std::string(path_name(path))},
           {"verification", std::string(verification.substr(0, verification.find(';')))}})
      .add();
}

}  // namespace

Result<std::vector<Backend>> ApiProxy::backends(const Asked& asked, const ProxyName& name) const {
  if (asked.resource == "nodes") return node_backends(name, options_.kubelets, options_.objects, options_.trust);
  if (asked.resource == "pods") return pod_backends(name, asked.ns, options_.objects, options_.trust);
  static std::atomic<size_t> turn{0};
  return service_backends(name, asked.ns, asked.id, turn.fetch_add(1), options_.objects, options_.trust);
}

Task<Result<ApiProxy::Reached>> ApiProxy::reach(Backend backend) const {
  auto executor = co_await boost::asio::this_coro::executor;
  Reached out;
  if (backend.kubelet) {
    KubeletLocation where{backend.node, backend.address};
    out.authority = where.authority();
    out.verification = "verified; authority=\"kubelet\"";
    RD_CO_TRY(out.client, options_.kubelets.client(executor, where, backend.path));
    co_return out;
  }
  RD_CO_TRY(backend.address, co_await options_.guard.resolve(backend.address));
  out.authority = backend.address.to_string();
  egress::Target target;
  target.node = backend.node;
  target.address = backend.address;
  bool verified = backend.tls && backend.trust;
  if (backend.tls && !backend.trust && options_.policy.unverified_tls == UnverifiedTlsPolicy::Refuse)
    co_return Error(Status(
        403, "Forbidden",
        fmt::format("path {}: no certificate authority is named for {} and --proxy-unverified-tls is \"refuse\"; name "
                    "one with the annotation {}",
                    path_name(backend.path), out.authority, kProxyCaAnnotation)));
  std::string_view way = options_.dialer.way(backend.path, target).kind;
  if (verified) {
    out.verification = fmt::format("verified; authority=\"{}\"; way={}", backend.trust->source, way);
  } else if (backend.tls) {
    out.verification = fmt::format("unverified; reason=\"no authority is named\"; way={}", way);
  } else {
    out.verification = fmt::format("plaintext; way={}", way);
  }
  bool confidential = !verified && options_.policy.plaintext == PlaintextPolicy::Refuse;
  std::string key = fmt::format("{} {} {} {} {}", path_name(backend.path), backend.node, out.authority,
                                backend.tls ? "tls" : "plain", backend.trust ? digest(*backend.trust) : "");
  RD_CO_TRY(out.client, pool_.get(executor, key, [&]() -> Result<net::HttpClient::Options> {
    net::HttpClient::Options options;
    options.host = out.authority;
    if (backend.tls) {
      net::TlsClientContext::Options tls;
      if (backend.trust) {
        tls.ca_pem = backend.trust->ca_pem;
        tls.server_name = backend.trust->server_name.empty() ? backend.default_server_name : backend.trust->server_name;
        tls.certificate_pem = backend.trust->certificate_pem;
        tls.private_key_pem = backend.trust->private_key_pem;
      } else {
        tls.server_name = backend.default_server_name;
      }
      auto made =
          backend.trust ? net::TlsClientContext::make(std::move(tls)) : net::make_unverified_tls(std::move(tls));
      if (!made) return Error(Status(502, "", "the backend's certificates: " + made.error().message()));
      options.tls = std::move(*made);
    }
    options.dial = [dialer = &options_.dialer, path = backend.path, target, confidential,
                    verification = out.verification]() -> Task<Result<net::StreamPtr>> {
      return dial_backend(dialer, path, target, confidential, verification);
    };
    return options;
  }));
  co_return out;
}

Task<Result<void>> ApiProxy::serve(net::Request& request, net::Responder& responder, Asked asked) const {
  auto name = split_proxy_name(asked.id);
  std::string kind = asked.resource.substr(0, asked.resource.size() - 1);
  if (!name) co_return bad_request(fmt::format("invalid {} request \"{}\"", kind, asked.id));
  auto path = split_proxy_path(request.path, asked.resource == "nodes" ? 4 : 6);
  if (!path) co_return page_not_found();
  bool upgrade = request.wants_upgrade();
  RD_CO_TRY(auto candidates, backends(asked, *name));
  if (path->path.empty() && !upgrade && (request.method == "GET" || request.method == "HEAD")) {
    // Relative links of the page would otherwise lead one step too high.
    std::string to = path->prefix + "/" + (request.query.empty() ? "" : "?" + request.query);
    (void)co_await responder.send(301, {{"location", std::move(to)}}, {});
    co_return Result<void>{};
  }
  std::string target = path->path.empty() ? "/" : path->path;
  if (!request.query.empty()) target += "?" + request.query;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Backend& backend = candidates[i];
    auto reached = co_await reach(backend);
    if (!reached) {
      if (i + 1 < candidates.size()) continue;
      co_return Error(client_error(reached.error(), backend, upgrade));
    }
    auto links = std::make_shared<LinkRewriter>(path->prefix, reached->authority, request.authority);
    CookieScope cookies(path->prefix);
    CookiePolicy policy = options_.policy.cookies;
    RelayHooks hooks;
    hooks.request_headers = [&](net::Headers& headers) {
      headers.set("x-forwarded-for", forwarded_for(request));
      headers.set("x-forwarded-uri", path->prefix + path->path);
      std::string own = policy == CookiePolicy::Scoped ? cookies.inward(request.headers) : std::string();
      if (!own.empty()) headers.add("cookie", own);
      if (policy == CookiePolicy::Forward) {
        for (std::string_view cookie : request.headers.get_all("cookie")) headers.add("cookie", std::string(cookie));
      }
    };
    hooks.answer_headers = [&](int status, net::Headers& headers) -> Result<void> {
      remove_origin_headers(headers);
      headers.add(std::string(kVerificationHeader), reached->verification);
      // Only now is the backend known: a connection that failed verified nobody.
      if (asked.annotate) asked.annotate("redoubt.io/proxy-verification", reached->verification);
      if (policy == CookiePolicy::Scoped) cookies.outward(headers);
      if (policy == CookiePolicy::Drop) headers.remove("set-cookie");
      if (auto location = headers.get("location"); location && !location->empty()) {
        // A kubelet has no business elsewhere, and clients follow redirects with their credentials (CVE-2020-8559).
        if (backend.kubelet && status / 100 == 3 && links->leads_elsewhere(*location))
          return Error(Status(502, "", "the backend attempted to redirect this request, which is not permitted"));
        headers.set("location", links->rewrite(*location));
      }
      return {};
    };
    hooks.body = [&](int, net::Headers& headers) {
      return headers.has("location") ? RelayHooks::Transform() : page_transform(headers, links);
    };
    RelayTarget to{*reached->client, target, backend.kubelet ? "" : request.authority};
    if (asked.annotate) asked.annotate("redoubt.io/path", path_name(backend.path));
    auto done = upgrade ? co_await relay_upgrade(request, responder, to, hooks)
                        : co_await relay_request(request, responder, to, hooks);
    if (done) {
      count(backend.path, reached->verification);
      co_return Result<void>{};
    }
    if (done.error().is(kDialFailed) && i + 1 < candidates.size() && !responder.started()) continue;
    co_return Error(client_error(done.error(), backend, upgrade));
  }
  co_return service_unavailable(fmt::format("no endpoints available for service \"{}\"", asked.id));
}

}  // namespace redoubt::apiserver
