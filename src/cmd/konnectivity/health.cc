#include "cmd/konnectivity/health.h"

#include "base/metrics.h"

namespace redoubt::cmd {

namespace {

struct Health {
  std::function<std::string()> not_ready;  // none: metrics alone
  int not_ready_status = 500;
};

Task<void> serve(std::shared_ptr<const Health> health, net::Request request, net::Responder& responder) {
  int status = 200;
  std::string body = "ok";
  net::Headers headers{{"content-type", "text/plain; charset=utf-8"}, {"x-content-type-options", "nosniff"}};
  if (request.path == "/metrics") {
    headers.set("content-type", "text/plain; version=0.0.4; charset=utf-8");
    body = render_metrics();
  } else if (health->not_ready && (request.path == "/readyz" || request.path == "/ready")) {
    if (std::string why = health->not_ready(); !why.empty()) {
      status = health->not_ready_status;
      body = why;
    }
  } else if (!health->not_ready || request.path != "/healthz") {
    status = 404;
    body = "404 page not found\n";
  }
  BytesList pieces;
  pieces.push_back(Bytes::take(std::move(body)));
  (void)co_await responder.send(status, std::move(headers), std::move(pieces));
}

}  // namespace

net::Handler make_health_handler(std::function<std::string()> not_ready, int not_ready_status) {
  auto health = std::make_shared<const Health>(std::move(not_ready), not_ready_status);
  return [health](net::Request request, net::Responder& responder) {
    return serve(health, std::move(request), responder);
  };
}

net::Handler make_metrics_handler() {
  auto health = std::make_shared<const Health>();
  return [health](net::Request request, net::Responder& responder) {
    return serve(health, std::move(request), responder);
  };
}

Result<std::unique_ptr<net::HttpServer>> start_listening(net::LoopPool& loops, net::HttpServerOptions options) {
  if (!options.address.empty() || !options.unix_path.empty()) return net::HttpServer::start(loops, std::move(options));
  options.address = "::";
  auto both = net::HttpServer::start(loops, options);
  if (both) return both;
  options.address = "0.0.0.0";
  return net::HttpServer::start(loops, std::move(options));
}

}  // namespace redoubt::cmd
