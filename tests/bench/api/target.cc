#include "target.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <cstdio>
#include <cstdlib>
#include <future>

namespace redoubt::bench {

namespace {

using std::chrono::steady_clock;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "bench: %s\n", why.c_str());
  std::exit(1);
}

net::HttpClient::Options options_of(const client::Config& config) {
  net::TlsClientContext::Options tls;
  tls.ca_pem = config.ca_pem;
  tls.certificate_pem = config.certificate_pem;
  tls.private_key_pem = config.private_key_pem;
  auto context = net::TlsClientContext::make(std::move(tls));
  if (!context) give_up(context.error().message());
  net::HttpClient::Options out;
  out.host = config.server.substr(config.server.find("://") + 3);
  out.tls = *context;
  out.dial = [address = *net::parse_address(out.host)] { return net::tcp_connect(address, std::chrono::seconds(5)); };
  return out;
}

struct Worker {
  std::vector<double> milliseconds;
  size_t bytes = 0;
  size_t failed = 0;
  std::string error;
};

}  // namespace

Connection::Connection(Executor executor, const client::Config& config)
    : executor_(executor), http_(net::HttpClient::make(executor, options_of(config))) {}

Task<Result<net::ClientResponse>> Connection::open(net::ClientRequest request) {
  co_return co_await http_->send(std::move(request));
}

Task<Result<Answer>> Connection::send(net::ClientRequest request, bool keep) {
  RD_CO_TRY(net::ClientResponse response, co_await http_->send(std::move(request)));
  Answer out;
  out.status = response.status;
  while (true) {
    RD_CO_TRY(Bytes piece, co_await response.body->read_some());
    if (piece.empty()) break;
    out.bytes += piece.size();
    if (keep || out.status >= 300) out.body += piece.view();
  }
  co_return out;
}

double Timing::percentile(double p) const {
  if (milliseconds.empty()) return 0;
  return milliseconds[std::min(milliseconds.size() - 1,
                               static_cast<size_t>(p * static_cast<double>(milliseconds.size())))];
}

void run_on_all(net::LoopPool& loops, const std::function<Task<void>(size_t)>& task) {
  std::vector<std::promise<void>> done(loops.size());
  std::vector<std::unique_ptr<Scope>> scopes(loops.size());
  for (size_t i = 0; i < loops.size(); ++i) {
    boost::asio::post(loops.executor(i), [&, i] {
      scopes[i] = std::make_unique<Scope>(loops.executor(i), "bench");
      scopes[i]->spawn(
          [](const std::function<Task<void>(size_t)>& body, size_t loop, std::promise<void>& ended) -> Task<void> {
            co_await body(loop);
            ended.set_value();
          }(task, i, done[i]));
    });
  }
  for (auto& one : done) one.get_future().wait();
}

Timing Target::run(const Load& load, const std::function<net::ClientRequest(size_t)>& request_of) {
  std::atomic<size_t> next{0};
  std::vector<Worker> workers(load.workers);
  std::vector<std::unique_ptr<Connection>> connections(load.connections);
  auto one_worker = [&](Worker& worker, Connection& connection, steady_clock::time_point until) -> Task<void> {
    for (size_t i; (i = next++) < load.count;) {
      auto began = steady_clock::now();
      if (began > until) co_return;
      auto answer = co_await connection.send(request_of(i));
      worker.milliseconds.push_back(std::chrono::duration<double, std::milli>(steady_clock::now() - began).count());
      if (answer && answer->status == load.expect) {
        worker.bytes += answer->bytes;
        continue;
      }
      ++worker.failed;
      worker.error =
          answer ? fmt::format("{} {}", answer->status, answer->body.substr(0, 300)) : answer.error().message();
      if (worker.failed > 10) co_return;
    }
  };
  // The connections stand before the clock starts.
  run_on_all(loops_, [&](size_t loop) -> Task<void> {
    for (size_t i = loop; i < connections.size(); i += loops_.size()) {
      connections[i] = std::make_unique<Connection>(loops_.executor(loop), config_);
      (void)co_await connections[i]->send(get("/livez"));
    }
  });
  auto began = steady_clock::now();
  run_on_all(loops_, [&](size_t loop) -> Task<void> {
    Scope scope(loops_.executor(loop), "workers");
    for (size_t i = 0; i < workers.size(); ++i) {
      size_t at = i % connections.size();
      if (at % loops_.size() == loop) scope.spawn(one_worker(workers[i], *connections[at], began + load.limit));
    }
    co_await scope.wait_idle();
    for (size_t i = loop; i < connections.size(); i += loops_.size()) connections[i] = nullptr;
  });
  Timing out;
  out.seconds = std::chrono::duration<double>(steady_clock::now() - began).count();
  for (Worker& worker : workers) {
    out.milliseconds.insert(out.milliseconds.end(), worker.milliseconds.begin(), worker.milliseconds.end());
    out.bytes += worker.bytes;
    out.failed += worker.failed;
    if (out.first_error.empty()) out.first_error = worker.error;
  }
  std::sort(out.milliseconds.begin(), out.milliseconds.end());
  out.done = out.milliseconds.size() - out.failed;
  if (out.failed > 0) std::fprintf(stderr, "bench: %zu requests failed: %s\n", out.failed, out.first_error.c_str());
  return out;
}

Answer Target::ask(net::ClientRequest request, int or_status) {
  Answer out;
  std::string what = request.target;
  bool used = false;
  run_on_all(loops_, [&](size_t loop) -> Task<void> {
    if (loop != 0 || std::exchange(used, true)) co_return;
    Connection connection(loops_.executor(0), config_);
    auto answer = co_await connection.send(std::move(request), true);
    if (!answer) give_up(answer.error().message());
    out = std::move(*answer);
  });
  if (out.status / 100 != 2 && out.status != or_status)
    give_up(fmt::format("{}: {} {}", what, out.status, out.body.substr(0, 500)));
  return out;
}

net::ClientRequest get(std::string target, std::string accept) {
  net::ClientRequest out;
  out.target = std::move(target);
  out.headers = {{"accept", std::move(accept)}};
  return out;
}

net::ClientRequest post(std::string target, std::string json) {
  net::ClientRequest out;
  out.method = "POST";
  out.target = std::move(target);
  out.headers = {{"accept", "application/json"}, {"content-type", "application/json"}};
  out.body.push_back(Bytes::take(std::move(json)));
  return out;
}

}  // namespace redoubt::bench
