#include "kubeproxy/health_check.h"

#include <atomic>

#include "base/log.h"
#include "net/http_server.h"

namespace redoubt::kubeproxy {

namespace {

struct Answer {
  std::string service;
  size_t local_endpoints = 0;
  bool healthy = true;
};

}  // namespace

struct HealthChecks::Port {
  // Read by whichever loop a connection is pinned to.
  std::atomic<std::shared_ptr<const Answer>> answer;
  std::unique_ptr<net::HttpServer> server;
};

HealthChecks::HealthChecks(net::LoopPool& loops) : loops_(loops) {}
HealthChecks::~HealthChecks() = default;

Task<void> HealthChecks::set(std::map<uint16_t, Wanted> wanted, bool healthy) {
  for (auto it = ports_.begin(); it != ports_.end();) {
    if (wanted.contains(it->first)) {
      ++it;
      continue;
    }
    std::unique_ptr<Port> gone = std::move(it->second);
    it = ports_.erase(it);
    co_await gone->server->drain(std::chrono::milliseconds(100));
  }
  for (const auto& [number, want] : wanted) {
    std::unique_ptr<Port>& port = ports_[number];
    if (!port) port = std::make_unique<Port>();
    port->answer.store(std::make_shared<const Answer>(want.service, want.local_endpoints, healthy));
    if (port->server) continue;
    net::HttpServerOptions options;
    options.port = number;
    options.max_connections = 100;
    options.idle_timeout = std::chrono::seconds(10);
    options.handler = [&answer = port->answer](net::Request, net::Responder& responder) -> Task<void> {
      std::shared_ptr<const Answer> now = answer.load();
      size_t slash = now->service.find('/');
      BytesList body;
      body.push_back(Bytes::take(fmt::format(
          R"({{"service":{{"namespace":"{}","name":"{}"}},"localEndpoints":{},"serviceProxyHealthy":{}}})",
          now->service.substr(0, slash), now->service.substr(slash + 1), now->local_endpoints, now->healthy)));
      net::Headers headers{{"content-type", "application/json"}, {"x-content-type-options", "nosniff"}};
      headers.add("x-load-balancing-endpoint-weight", std::to_string(now->local_endpoints));
      co_await responder.send(now->local_endpoints > 0 && now->healthy ? 200 : 503, std::move(headers),
                              std::move(body));
    };
    auto server = net::HttpServer::start(loops_, std::move(options));
    if (!server) {
      log_warning("health check node port not served",
                  {{"service", want.service}, {"port", number}, {"error", server.error().message()}});
      ports_.erase(number);
      continue;
    }
    port->server = std::move(*server);
  }
}

}  // namespace redoubt::kubeproxy
