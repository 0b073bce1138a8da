// The other end of the API server's own calls: an HTTPS server in the process, with an authority of its own.
#pragma once
#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "apiserver/auth/https_caller.h"
#include "base/pending.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "pki/certificate.h"

namespace redoubt::apiserver {

class HttpsPeer {
 public:
  struct Answer {
    int status = 200;
    std::string body;
    std::chrono::milliseconds after{0};
  };
  using Answers = std::function<Answer(const std::string& path, const std::string& body)>;

  explicit HttpsPeer(Answers answers) : state_(std::make_shared<State>()) {
    state_->answers = std::move(answers);
    pki::Template wanted;
    wanted.subject.common_name = "peer";
    wanted.ip_addresses = {"127.0.0.1"};
    wanted.usages = {pki::Usage::ServerAuth};
    pki::KeyPair pair = *pki::issue(ca_, wanted);
    net::HttpServerOptions options;
    options.address = "127.0.0.1";
    options.tls = *net::TlsServerContext::make(
        {.certificate_pem = pair.certificate_pem, .private_key_pem = pair.private_key_pem});
    options.handler = [state = state_](net::Request request, net::Responder& responder) {
      return serve(state, std::move(request), responder);
    };
    server_ = std::move(*net::HttpServer::start(loops_, std::move(options)));
  }
  // The loops stop before the server goes.
  ~HttpsPeer() { loops_.stop(); }

  std::string url() const { return fmt::format("https://127.0.0.1:{}", server_->port()); }
  const std::string& ca_pem() const { return ca_.certificate_pem; }
  int hits(const std::string& path) const {
    std::lock_guard lock(state_->mutex);
    auto it = state_->hits.find(path);
    return it == state_->hits.end() ? 0 : it->second;
  }
  HttpsCaller::Options connection() const { return {.url = url(), .ca_pem = ca_pem()}; }

 private:
  struct State {
    Answers answers;
    std::mutex mutex;
    std::map<std::string, int> hits;
  };
  static Task<void> serve(std::shared_ptr<State> state, net::Request request, net::Responder& responder) {
    auto body = co_await net::read_body(*request.body, 1 << 20);
    Answer answer;
    {
      std::lock_guard lock(state->mutex);
      ++state->hits[request.path];
      answer = state->answers(request.path, body.value_or(""));
    }
    if (answer.after.count() > 0) co_await sleep_for(answer.after);
    BytesList out;
    out.push_back(Bytes::take(std::move(answer.body)));
    co_await responder.send(answer.status, {{"content-type", "application/json"}}, std::move(out));
  }

  pki::KeyPair ca_ = *pki::make_ca("peer-ca", std::chrono::hours(1));
  std::shared_ptr<State> state_;
  net::LoopPool loops_{1, "peer"};
  std::unique_ptr<net::HttpServer> server_;
};

// Waits for an answer on a loop of its own.
template <class T>
T wait_for(Pending<T> pending) {
  if (pending.is_here()) return std::move(pending.value());
  std::optional<T> out;
  net::run_until_done([&]() -> Task<void> {
    return [](Pending<T>& p, std::optional<T>& into) -> Task<void> { into.emplace(co_await p.task()); }(pending, out);
  });
  return std::move(*out);
}

// Runs on a loop of the pool and waits here.
inline void run_on_loop(net::LoopPool& loops, std::function<Task<void>()> make) {
  std::promise<void> done;
  std::unique_ptr<Scope> scope;
  boost::asio::post(loops.executor(0), [&] {
    scope = std::make_unique<Scope>(loops.executor(0), "test");
    scope->spawn([](std::function<Task<void>()>& m, std::promise<void>& d) -> Task<void> {
      co_await m();
      d.set_value();
    }(make, done));
  });
  done.get_future().get();
}

}  // namespace redoubt::apiserver
