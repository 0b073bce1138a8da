// Liveness, readiness and startup probes of a pod's containers.
#include <charconv>

#include "base/log.h"
#include "kubelet/pods/pod_worker.h"
#include "net/http_client.h"

namespace redoubt::kubelet {

namespace core = k8s::core::v1;
using std::chrono::steady_clock;

namespace {

// The port by number, or by its name among the container's ports.
uint16_t port_of(const schema::IntOrString& port, const core::Container& container) {
  if (!port.is_string) return static_cast<uint16_t>(port.number);
  for (const auto& p : container.ports) {
    if (p.name == port.text) return static_cast<uint16_t>(p.containerPort);
  }
  uint16_t number = 0;
  std::from_chars(port.text.data(), port.text.data() + port.text.size(), number);
  return number;
}

}  // namespace

Task<bool> PodWorker::run_probe(core::Probe probe, core::Container container, std::string id) {
  auto limit = std::chrono::seconds(std::max(1, probe.timeoutSeconds));
  if (probe.exec) {
    cri::ExecSyncRequest request;
    request.set_container_id(id);
    for (const auto& part : probe.exec->command) request.add_cmd(part);
    request.set_timeout(limit.count());
    auto done = co_await s_.runtime.call<cri::ExecSyncResponse>("RuntimeService/ExecSync", request,
                                                                limit + std::chrono::seconds(2));
    co_return done && done->exit_code() == 0;
  }
  std::string host = probe.httpGet && !probe.httpGet->host.empty()       ? probe.httpGet->host
                     : probe.tcpSocket && !probe.tcpSocket->host.empty() ? probe.tcpSocket->host
                                                                         : pod_ip_;
  if (probe.tcpSocket) {
    auto stream = co_await net::tcp_connect({host, port_of(probe.tcpSocket->port, container)}, limit);
    co_return stream.has_value();
  }
  if (probe.grpc || probe.httpGet) {
    net::HttpClient::Options options;
    net::Address address{
        host, probe.grpc ? static_cast<uint16_t>(probe.grpc->port) : port_of(probe.httpGet->port, container)};
    options.dial = [address, limit] { return net::tcp_connect(address, limit); };
    options.host = address.to_string();
    options.http2_prior_knowledge = probe.grpc.has_value();
    auto client = net::HttpClient::make(s_.api.executor(), std::move(options));
    net::ClientRequest request;
    request.header_timeout = limit;
    if (probe.grpc) {
      request.method = "POST";
      request.target = "/grpc.health.v1.Health/Check";
      std::string service = probe.grpc->service.value_or("");
      std::string message = service.empty() ? "" : std::string("\x0a") + static_cast<char>(service.size()) + service;
      std::string frame(5, '\0');
      frame[4] = static_cast<char>(message.size());
      request.headers = {{"content-type", "application/grpc"}, {"te", "trailers"}};
      request.body.push_back(Bytes::take(frame + message));
      auto response = co_await client->send(std::move(request));
      if (!response) co_return false;
      auto body = co_await net::read_body(*response->body, 4096);
      // HealthCheckResponse { status = 1: SERVING = 1 }
      co_return body && body->size() >= 7 && (*body)[5] == 0x08 && (*body)[6] == 1;
    }
    request.target = probe.httpGet->path.empty() ? "/" : probe.httpGet->path;
    request.headers = {{"user-agent", "kube-probe/1.35"}, {"accept", "*/*"}, {"connection", "close"}};
    for (const auto& header : probe.httpGet->httpHeaders) request.headers.set(header.name, header.value);
    if (probe.httpGet->scheme == "HTTPS") {
      // A probe asks whether somebody answers; as upstream, it does not ask who. It reaches a TLS port and goes no
      // further.
      auto stream = co_await net::tcp_connect(address, limit);
      co_return stream.has_value();
    }
    auto response = co_await client->send(std::move(request));
    co_return response && response->status >= 200 && response->status < 400;
  }
  co_return true;
}

// Runs what is due and says when the next one is.
Task<void> PodWorker::probe_containers(PodRuntimeState state) {
  for (const auto& container : pod_->spec.containers) {
    const auto* there = state.latest(container.name);
    if (there == nullptr || there->state != cri::CONTAINER_RUNNING) continue;
    std::string id = there->id;
    bool started = true;
    for (auto [kind, probe] :
         {std::pair<const char*, const schema::Box<core::Probe>*>{"startup", &container.startupProbe},
          {"liveness", &container.livenessProbe},
          {"readiness", &container.readinessProbe}}) {
      if (!*probe) continue;
      core::Probe wanted = **probe;
      Probe& p = probes_[container.name + "/" + kind];
      bool is_startup = std::string_view(kind) == "startup";
      if (p.container_id != id) {
        p = Probe{};
        p.container_id = id;
        p.result = std::string_view(kind) == "liveness";
        p.next = steady_clock::now() + std::chrono::seconds(wanted.initialDelaySeconds);
      }
      if (is_startup && p.result) continue;  // once is enough
      if (!started) continue;                // the others wait for the startup probe
      if (steady_clock::now() >= p.next) {
        bool good = co_await run_probe(wanted, container, id);
        p.next = steady_clock::now() + std::chrono::seconds(std::max(1, wanted.periodSeconds));
        p.successes = good ? p.successes + 1 : 0;
        p.failures = good ? 0 : p.failures + 1;
        if (good && p.successes >= std::max(1, wanted.successThreshold)) p.result = true;
        if (!good && p.failures >= std::max(1, wanted.failureThreshold)) {
          p.result = false;
          if (std::string_view(kind) != "readiness") {
            co_await event("Warning", "Unhealthy", fmt::format("{} probe failed", is_startup ? "Startup" : "Liveness"));
            co_await event("Normal", "Killing",
                           fmt::format("Container {} failed {} probe, will be restarted", container.name, kind));
            cri::StopContainerRequest stop;
            stop.set_container_id(id);
            stop.set_timeout(
                wanted.terminationGracePeriodSeconds.value_or(pod_->spec.terminationGracePeriodSeconds.value_or(30)));
            co_await s_.runtime.call<cri::StopContainerResponse>("RuntimeService/StopContainer", stop,
                                                                 std::chrono::minutes(2));
            s_.look_again();
          }
        }
      }
      if (!next_ || p.next < *next_) next_ = p.next;
      if (is_startup && !p.result) started = false;
    }
  }
}

}  // namespace redoubt::kubelet
