#include "net/http_server.h"

#include <sys/stat.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>

#include "base/deadline.h"
#include "base/event.h"
#include "base/log.h"
#include "net/http_connection.h"
#include "net/limits.h"
#include "net/socket_stream.h"

namespace redoubt::net {

namespace asio = boost::asio;

namespace {

// ---- one connection ----

Task<void> serve_stream(StreamPtr stream, ConnectionInfo info, std::shared_ptr<const HttpServerOptions> options,
                        std::shared_ptr<DrainHooks> hooks) {
  if (options->tls) {
    // The stream must not wait for ever for a handshake; cancelling the wait ends the connection.
    auto outcome = std::make_shared<std::optional<Result<TlsStream>>>();
    (void)co_await finish_within(kHandshakeTimeout,
                                 [](StreamPtr s, std::shared_ptr<TlsServerContext> tls,
                                    std::shared_ptr<std::optional<Result<TlsStream>>> out) -> Task<void> {
                                   out->emplace(co_await tls_accept(std::move(s), std::move(tls)));
                                 }(std::move(stream), options->tls, outcome));
    if (!*outcome || !**outcome) {
      log_debug("tls handshake failed",
                {{"from", info.remote_address}, {"error", *outcome ? (*outcome)->error().message() : "timeout"}});
      co_return;
    }
    TlsStream& tls = ***outcome;
    info.tls = true;
    info.tls_version = tls.peer.version;
    info.server_name = tls.peer.server_name;
    info.alpn = tls.peer.alpn;
    info.peer_certificates = std::move(tls.peer.certificates_der);
    stream = std::move(tls.stream);
  }
  auto shared_info = std::make_shared<const ConnectionInfo>(std::move(info));
  if (shared_info->alpn == "h2") {
    co_await serve_http2(std::move(stream), shared_info, options, std::move(hooks), {});
  } else {
    co_await serve_http1(std::move(stream), shared_info, options, std::move(hooks));
  }
}

// ---- accepting ----

class HttpServerImpl : public HttpServer {
 public:
  struct Shared {
    std::shared_ptr<const HttpServerOptions> options;
    std::atomic<size_t> connections{0};
    std::vector<std::shared_ptr<DrainHooks>> hooks;  // one a loop
  };
  using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol, Executor>;

  explicit HttpServerImpl(LoopPool& loops) : loops_(loops), shared_(std::make_shared<Shared>()) {
    for (size_t i = 0; i < loops.size(); ++i) {
      scopes_.push_back(std::make_unique<Scope>(loops.executor(i), "connections"));
      shared_->hooks.push_back(std::make_shared<DrainHooks>());
    }
    drains_.resize(loops.size());
  }
  ~HttpServerImpl() override {
    boost::system::error_code ignored;
    if (acceptor_) acceptor_->close(ignored);
  }

  Result<void> listen(HttpServerOptions options) {
    boost::system::error_code error;
    acceptor_ = std::make_unique<Acceptor>(loops_.executor(0));
    asio::generic::stream_protocol::endpoint endpoint;
    std::string where = options.unix_path;
    if (!options.unix_path.empty()) {
      ::unlink(options.unix_path.c_str());
      endpoint = asio::local::stream_protocol::endpoint(options.unix_path);
    } else {
      auto address = asio::ip::make_address(options.address, error);
      if (error) return bad_request(fmt::format("listen address \"{}\" is no IP address", options.address));
      endpoint = asio::ip::tcp::endpoint(address, options.port);
      where = fmt::format("{}:{}", options.address, options.port);
    }
    acceptor_->open(endpoint.protocol(), error);
    if (!error && options.unix_path.empty()) acceptor_->set_option(asio::socket_base::reuse_address(true), error);
    if (!error && options.address == "::") acceptor_->set_option(asio::ip::v6_only(false), error);
    if (!error) acceptor_->bind(endpoint, error);
    if (!error && !options.unix_path.empty())
      ::chmod(options.unix_path.c_str(), static_cast<mode_t>(options.unix_mode));
    if (!error) acceptor_->listen(asio::socket_base::max_listen_connections, error);
    if (error) return service_unavailable(fmt::format("can't listen on {}: {}", where, error.message()));
    if (options.unix_path.empty()) {
      asio::ip::tcp::endpoint bound;
      auto local = acceptor_->local_endpoint();
      std::memcpy(bound.data(), local.data(), local.size());
      bound.resize(local.size());
      port_ = bound.port();
    }
    shared_->options = std::make_shared<const HttpServerOptions>(std::move(options));
    asio::post(loops_.executor(0), [this] { scopes_[0]->spawn(accept_loop()); });
    return {};
  }

  uint16_t port() const override { return port_; }

  Task<void> drain(std::chrono::milliseconds deadline) override {
    // Each loop's connections belong to that loop: ask it, and wait for its answer on ours.
    Executor home = co_await asio::this_coro::executor;
    // A caller's loop may end with this task: it must not before the other threads have let go of it.
    Executor held = asio::prefer(home, asio::execution::outstanding_work.tracked);
    auto left = std::make_shared<size_t>(loops_.size());
    auto done = std::make_shared<Event>(home);
    for (size_t i = 0; i < loops_.size(); ++i) {
      auto ended = [home = held, left, done]() mutable {
        asio::post(home, [left = std::move(left), done = std::move(done)] {
          --*left;
          done->notify();
        });
      };
      asio::post(loops_.executor(i), [this, i, deadline, ended = std::move(ended)]() mutable {
        if (i == 0) {
          boost::system::error_code ignored;
          acceptor_->close(ignored);
        }
        shared_->hooks[i]->drain();
        drains_[i] = std::make_unique<Scope>(loops_.executor(i), "drain");
        drains_[i]->spawn(end_connections(*scopes_[i], deadline, std::move(ended)));
      });
    }
    while (*left > 0) co_await done->wait();
  }

 private:
  /// Waits until `scope` is empty or `deadline` is over, ends what is left, and calls `ended`.
  template <typename Ended>
  static Task<void> end_connections(Scope& scope, std::chrono::milliseconds deadline, Ended ended) {
    auto end = std::chrono::steady_clock::now() + deadline;
    while (scope.running() > 0 && std::chrono::steady_clock::now() < end)
      co_await sleep_for(std::chrono::milliseconds(10));
    co_await scope.join();
    ended();
  }

  Task<void> accept_loop() {
    size_t next = 0;
    while (true) {
      size_t target = next++ % loops_.size();
      Socket socket(loops_.executor(target));
      boost::system::error_code error;
      co_await acceptor_->async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
      if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) co_return;
      if (error) {
        // Out of descriptors, most likely: others must close first.
        log_warning("accept failed", {{"error", error.message()}});
        co_await sleep_for(std::chrono::milliseconds(100));
        continue;
      }
      if (shared_->connections.load() >= shared_->options->max_connections) {
        log_warning("too many connections; closing a new one", {{"limit", shared_->options->max_connections}});
        continue;
      }
      asio::post(
          loops_.executor(target),
          [scope = scopes_[target].get(), shared = shared_, hooks = shared_->hooks[target],
           s = std::make_shared<Socket>(std::move(socket))] { scope->spawn(serve(shared, hooks, std::move(*s))); });
    }
  }

  static Task<void> serve(std::shared_ptr<Shared> shared, std::shared_ptr<DrainHooks> hooks, Socket socket) {
    shared->connections.fetch_add(1);
    struct Count {
      Shared& shared;
      ~Count() { shared.connections.fetch_sub(1); }
    } count{*shared};
    ConnectionInfo info;
    if (shared->options->unix_path.empty()) {
      boost::system::error_code ignored;
      socket.set_option(asio::ip::tcp::no_delay(true), ignored);
      socket.set_option(asio::socket_base::keep_alive(true), ignored);
      auto fill = [](const asio::generic::stream_protocol::endpoint& from, std::string& address, uint16_t& port) {
        asio::ip::tcp::endpoint to;
        std::memcpy(to.data(), from.data(), from.size());
        to.resize(from.size());
        auto ip = to.address();
        if (ip.is_v6() && ip.to_v6().is_v4_mapped()) ip = asio::ip::make_address_v4(asio::ip::v4_mapped, ip.to_v6());
        address = ip.to_string();
        port = to.port();
      };
      auto remote = socket.remote_endpoint(ignored);
      if (ignored) co_return;
      fill(remote, info.remote_address, info.remote_port);
      auto local = socket.local_endpoint(ignored);
      if (!ignored) fill(local, info.local_address, info.local_port);
    }
    co_await serve_stream(make_socket_stream(std::move(socket)), std::move(info), shared->options, std::move(hooks));
  }

  LoopPool& loops_;
  std::shared_ptr<Shared> shared_;
  std::vector<std::unique_ptr<Scope>> scopes_;
  std::vector<std::unique_ptr<Scope>> drains_;
  std::unique_ptr<Acceptor> acceptor_;
  uint16_t port_ = 0;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(LoopPool& loops, HttpServerOptions options) {
  auto server = std::make_unique<HttpServerImpl>(loops);
  RD_TRYV(server->listen(std::move(options)));
  return server;
}

Task<void> serve_connection(StreamPtr stream, ConnectionInfo info, const HttpServerOptions& options) {
  return serve_stream(std::move(stream), std::move(info), std::make_shared<const HttpServerOptions>(options),
                      std::make_shared<DrainHooks>());
}

}  // namespace redoubt::net
