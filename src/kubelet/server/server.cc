#include "kubelet/server/server.h"

#include <charconv>

#include "base/log.h"
#include "base/metrics.h"
#include "kubelet/server/access.h"
#include "kubelet/server/exec_session.h"
#include "kubelet/server/log_files.h"
#include "kubelet/server/log_reader.h"
#include "kubelet/server/stats.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/splice.h"
#include "pki/live.h"
#include "schema/k8s/core_v1.h"
#include "schema/typed.h"

namespace redoubt::kubelet {

namespace {

// A stream of which one direction has ended: how long the other may go on. A command whose client has gone has this
// time to say what it still has to say and to end.
constexpr std::chrono::seconds kHalfClosed{10};

BytesList one(std::string text) {
  BytesList out;
  out.push_back(Bytes::take(std::move(text)));
  return out;
}

using Query = std::vector<std::pair<std::string, std::string>>;

std::string param(const Query& query, std::string_view name) {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return "";
}

bool flag(const Query& query, std::string_view name) {
  std::string v = param(query, name);
  return v == "1" || v == "true";
}

std::optional<int64_t> number(const Query& query, std::string_view name) {
  std::string text = param(query, name);
  int64_t out = 0;
  if (text.empty() || std::from_chars(text.data(), text.data() + text.size(), out).ec != std::errc())
    return std::nullopt;
  return out;
}

std::vector<std::string> segments(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    path.remove_prefix(1);
    size_t slash = path.find('/');
    out.push_back(net::percent_decode(path.substr(0, slash)).value_or(""));
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash);
  }
  return out;
}

class ServerImpl : public Server {
 public:
  explicit ServerImpl(ServerDependencies deps) : deps_(std::move(deps)), stats_(deps_.runtime, deps_.root_dir) {}

  Result<void> listen(net::LoopPool& loops, const Options& options, pki::KeyPair serving) {
    RD_TRY(client_ca_, pki::LiveTrust::from_pem(deps_.client_ca_pem));
    access_ = std::make_unique<Access>(deps_.api, client_ca_, deps_.node_name);
    net::TlsServerContext::Options tls;
    tls.certificate_pem = serving.certificate_pem;
    tls.private_key_pem = serving.private_key_pem;
    tls.client_ca_hint_pem = deps_.client_ca_pem;
    net::HttpServerOptions http;
    http.address = options.address;
    http.port = options.port;
    RD_TRY(tls_, net::TlsServerContext::make(std::move(tls)));
    http.tls = tls_;
    http.handler = [this](net::Request request, net::Responder& responder) {
      return serve(std::move(request), responder);
    };
    RD_TRY(http_, net::HttpServer::start(loops, std::move(http)));
    return {};
  }

  Task<void> drain() override { co_await http_->drain(std::chrono::milliseconds(500)); }
  Result<void> replace_certificate(pki::KeyPair serving) override {
    return tls_->replace_certificate(std::move(serving.certificate_pem), std::move(serving.private_key_pem));
  }
  Result<void> replace_client_ca(std::string pem) override {
    RD_TRYV(client_ca_->replace(pem));
    return tls_->replace_client_ca_hint(std::move(pem));
  }

 private:
  // Plain text, as kubelets answer.
  static Task<void> fail(net::Responder& responder, Status status) {
    co_await responder.send(status.code(), {{"content-type", "text/plain; charset=utf-8"}},
                            one(status.message() + "\n"));
  }

  Task<void> serve(net::Request request, net::Responder& responder) {
    auto caller = co_await access_->authenticate(request);
    if (!caller) co_return co_await fail(responder, caller.error());
    // The same decoded words decide about the right and pick the handler, so that no escape can tell them apart.
    std::vector<std::string> path = segments(request.path);
    std::string what = path.empty() ? std::string() : path[0];
    if (auto ok = co_await access_->authorize(*caller, guarded_by(request.method, what)); !ok)
      co_return co_await fail(responder, ok.error());
    auto query = net::parse_query(request.query);
    if (!query) co_return co_await fail(responder, Status(400, "BadRequest", "malformed query"));
    if (what == "containerLogs" && path.size() == 4) co_return co_await logs(responder, *query, path);
    if ((what == "exec" || what == "attach") && (path.size() == 4 || path.size() == 5))
      co_return co_await session(request, responder, *query, path);
    if (what == "portForward" && (path.size() == 3 || path.size() == 4))
      co_return co_await session(request, responder, *query, path);
    if (what == "run" && (path.size() == 4 || path.size() == 5)) {
      if (request.method != "POST") co_return co_await fail(responder, Status(405, "", "405: Method Not Allowed"));
      co_return co_await run(responder, *query, path);
    }
    if (request.method != "GET" && request.method != "HEAD")
      co_return co_await fail(responder, Status(405, "", "405: Method Not Allowed"));
    // A slash at the end is an empty last segment.
    bool slash = path.size() > 1 && path.back().empty();
    if (slash) path.pop_back();
    if (what == "logs") {
      std::string file;
      for (size_t i = 1; i < path.size(); ++i) file += (i == 1 ? "" : "/") + path[i];
      auto done = co_await serve_log_file(responder, deps_.log_root, std::move(file), slash, request.method == "HEAD");
      if (!done) co_await fail(responder, done.error());
      co_return;
    }
    auto page = co_await document(path, *query);
    if (!page) co_return co_await fail(responder, page.error());
    co_await responder.send(200, {{"content-type", page->type}}, one(std::move(page->text)));
  }

  struct Page {
    std::string text;
    std::string type = "application/json";
  };
  Task<Result<Page>> document(std::vector<std::string> path, Query query) {
    std::string name = fmt::format("{}", fmt::join(path, "/"));
    const std::string plain = "text/plain; version=0.0.4; charset=utf-8";
    if (name == "healthz" || name == "healthz/ping" || name == "healthz/log" || name == "healthz/syncloop")
      co_return Page{"ok", "text/plain; charset=utf-8"};
    if (name == "pods") co_return Page{deps_.pods_json()};
    if (name == "configz") co_return Page{deps_.config_json};
    if (name == "runningpods") {
      RD_CO_TRY(std::string text, co_await running_pods());
      co_return Page{std::move(text)};
    }
    if (name == "metrics") co_return Page{render_metrics(), plain};
    if (name == "stats/summary" || name == "metrics/resource" || name == "metrics/cadvisor") {
      RD_CO_TRY(Usage usage, co_await stats_.collect());
      if (name == "metrics/resource") co_return Page{resource_metrics(usage), plain};
      if (name == "metrics/cadvisor") co_return Page{cadvisor_metrics(usage), plain};
      co_return Page{stats_summary(usage, deps_.node_name, flag(query, "only_cpu_and_memory"))};
    }
    co_return Error(Status(404, "NotFound", "404 page not found"));
  }

  // What the runtime runs, as pods, whoever wanted it.
  Task<Result<std::string>> running_pods() {
    cri::ListPodSandboxRequest ready;
    ready.mutable_filter()->mutable_state()->set_state(cri::SANDBOX_READY);
    RD_CO_TRY(auto pods,
              co_await deps_.runtime.call<cri::ListPodSandboxResponse>("RuntimeService/ListPodSandbox", ready));
    cri::ListContainersRequest running;
    running.mutable_filter()->mutable_state()->set_state(cri::CONTAINER_RUNNING);
    RD_CO_TRY(auto containers,
              co_await deps_.runtime.call<cri::ListContainersResponse>("RuntimeService/ListContainers", running));
    k8s::core::v1::PodList list;
    for (const auto& sandbox : pods.items()) {
      k8s::core::v1::Pod pod;
      pod.metadata.name = sandbox.metadata().name();
      pod.metadata.namespace_ = sandbox.metadata().namespace_();
      pod.metadata.uid = sandbox.metadata().uid();
      for (const auto& container : containers.containers()) {
        if (container.pod_sandbox_id() != sandbox.id()) continue;
        auto& one = pod.spec.containers.emplace_back();
        one.name = container.metadata().name();
        one.image = container.image().image();
      }
      list.items.push_back(std::move(pod));
    }
    co_return schema::to_json(list);
  }

  Task<void> logs(net::Responder& responder, Query query, std::vector<std::string> path) {
    auto container = deps_.find_container(path[1], path[2], path[3], flag(query, "previous"));
    if (!container) co_return co_await fail(responder, container.error());
    LogOptions options;
    options.follow = flag(query, "follow") && container->running;
    options.timestamps = flag(query, "timestamps");
    options.tail_lines = number(query, "tailLines");
    options.limit_bytes = number(query, "limitBytes");
    if (auto seconds = number(query, "sinceSeconds")) options.since = now() - std::chrono::seconds(*seconds);
    if (std::string time = param(query, "sinceTime"); !time.empty()) {
      options.since = parse_rfc3339(time);
      if (!options.since)
        co_return co_await fail(responder, Status(400, "BadRequest", "sinceTime is no RFC 3339 time"));
    }
    if (std::string stream = param(query, "stream"); stream == "Stdout" || stream == "Stderr") {
      options.stream = stream == "Stdout" ? LogOptions::Stream::Stdout : LogOptions::Stream::Stderr;
    } else if (!stream.empty() && stream != "All") {
      co_return co_await fail(responder, Status(400, "BadRequest", "stream is none of All, Stdout, Stderr"));
    }
    auto started = co_await responder.start(200, {{"content-type", "text/plain"}});
    if (!started) co_return;
    net::BodyWriter& writer = **started;
    std::string id = container->id;
    auto running = [this, path, id] {
      auto there = deps_.find_container(path[1], path[2], path[3], false);
      return there && there->id == id && there->running;
    };
    auto write = [&writer](std::string text) { return writer.write(one(std::move(text))); };
    auto done = co_await read_log(container->log_path, options, running, write);
    if (!done && done.error().is("NotFound"))
      co_await writer.write(one(fmt::format("unable to retrieve container logs for containerd://{}", id)));
    co_await writer.finish();
  }

  // exec, attach and port-forward: the runtime gives a place to stream to, and the client's own protocol goes there
  // byte for byte.
  Task<void> session(net::Request& request, net::Responder& responder, Query query, std::vector<std::string> path) {
    if (!request.wants_upgrade())
      co_return co_await fail(responder, Status(400, "BadRequest", "Upgrade request required"));
    std::string url;
    if (path[0] == "portForward") {
      auto sandbox = deps_.find_sandbox(path[1], path[2]);
      if (!sandbox) co_return co_await fail(responder, sandbox.error());
      cri::PortForwardRequest ask;
      ask.set_pod_sandbox_id(*sandbox);
      auto answer = co_await deps_.runtime.call<cri::PortForwardResponse>("RuntimeService/PortForward", ask);
      if (!answer) co_return co_await fail(responder, answer.error());
      url = answer->url();
    } else {
      auto container = deps_.find_container(path[1], path[2], path.back(), false);
      if (!container) co_return co_await fail(responder, container.error());
      if (!container->running)
        co_return co_await fail(responder,
                                Status(400, "BadRequest", fmt::format("container {} does not run", path.back())));
      bool in = flag(query, "input") || flag(query, "stdin"), out = flag(query, "output") || flag(query, "stdout"),
           error = flag(query, "error") || flag(query, "stderr"), tty = flag(query, "tty");
      if (path[0] == "exec") {
        cri::ExecRequest ask;
        ask.set_container_id(container->id);
        for (const auto& [key, value] : query) {
          if (key == "command") ask.add_cmd(value);
        }
        ask.set_stdin(in);
        ask.set_stdout(out);
        ask.set_stderr(error);
        ask.set_tty(tty);
        auto answer = co_await deps_.runtime.call<cri::ExecResponse>("RuntimeService/Exec", ask);
        if (!answer) co_return co_await fail(responder, answer.error());
        url = answer->url();
      } else {
        cri::AttachRequest ask;
        ask.set_container_id(container->id);
        ask.set_stdin(in);
        ask.set_stdout(out);
        ask.set_stderr(error);
        ask.set_tty(tty);
        auto answer = co_await deps_.runtime.call<cri::AttachResponse>("RuntimeService/Attach", ask);
        if (!answer) co_return co_await fail(responder, answer.error());
        url = answer->url();
      }
    }
    // http://127.0.0.1:PORT/exec/TOKEN, on the loopback of this machine only.
    constexpr std::string_view kScheme = "http://";
    size_t slash = url.find('/', kScheme.size());
    auto address = net::parse_address(std::string_view(url).substr(kScheme.size(), slash - kScheme.size()));
    if (!url.starts_with(kScheme) || slash == std::string::npos || !address)
      co_return co_await fail(responder,
                              Status(500, "InternalError", "the runtime's streaming address is no http URL"));
    net::HttpClient::Options options;
    options.dial = [to = *address] { return net::tcp_connect(to, std::chrono::seconds(5)); };
    options.host = address->to_string();
    auto client = net::HttpClient::make(deps_.executor, std::move(options));
    net::ClientRequest onward;
    onward.method = request.method;
    onward.target = url.substr(slash);
    for (const auto& [name, value] : request.headers) {
      if (name == "host" || name == "authorization" || name == "content-length" || name == "transfer-encoding")
        continue;
      onward.headers.add(name, value);
    }
    auto answer = co_await client->upgrade(std::move(onward));
    if (!answer) co_return co_await fail(responder, answer.error());
    if (answer->status != 101) {
      auto body = co_await net::read_body(*answer->body, 64 * 1024);
      co_return co_await fail(responder, Status(answer->status, "", body ? *body : "the runtime refused the stream"));
    }
    auto upgraded = co_await responder.upgrade(answer->headers);
    if (!upgraded) co_return;
    if (path[0] == "exec") co_return co_await carry_exec(std::move(*upgraded), std::move(answer->stream), kHalfClosed);
    co_await net::splice_limited(std::move(*upgraded), std::move(answer->stream), kHalfClosed);
  }

  Task<void> run(net::Responder& responder, Query query, std::vector<std::string> path) {
    auto container = deps_.find_container(path[1], path[2], path.back(), false);
    if (!container) co_return co_await fail(responder, container.error());
    cri::ExecSyncRequest ask;
    ask.set_container_id(container->id);
    for (const auto& [key, value] : query) {
      if (key == "cmd" || key == "command") ask.add_cmd(value);
    }
    ask.set_timeout(60);
    auto answer =
        co_await deps_.runtime.call<cri::ExecSyncResponse>("RuntimeService/ExecSync", ask, std::chrono::seconds(65));
    if (!answer) co_return co_await fail(responder, answer.error());
    co_await responder.send(200, {{"content-type", "text/plain"}}, one(answer->stdout() + answer->stderr()));
  }

  ServerDependencies deps_;
  std::shared_ptr<pki::LiveTrust> client_ca_;
  std::shared_ptr<net::TlsServerContext> tls_;
  Stats stats_;
  std::unique_ptr<Access> access_;
  std::unique_ptr<net::HttpServer> http_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(net::LoopPool& loops, const Options& options, pki::KeyPair serving,
                                              ServerDependencies deps) {
  auto out = std::make_unique<ServerImpl>(std::move(deps));
  RD_TRYV(out->listen(loops, options, std::move(serving)));
  return out;
}

}  // namespace redoubt::kubelet
