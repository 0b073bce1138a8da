#include "net/http_server.h"

#include <nghttp2/nghttp2.h>
#include <sys/stat.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <list>

#include "base/deadline.h"
#include "base/event.h"
#include "base/log.h"
#include "net/http1.h"
#include "net/http2.h"
#include "net/limits.h"
#include "net/socket_stream.h"

namespace redoubt::net {

namespace asio = boost::asio;

namespace {

constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

BytesList one_piece(std::string text) {
  BytesList out;
  out.push_back(Bytes::take(std::move(text)));
  return out;
}

// The connections of one loop that want to know when the server winds up. Belongs to that loop.
struct DrainHooks {
  using List = std::list<std::function<void()>>;
  List hooks;
  bool draining = false;

  void drain() {
    draining = true;
    auto all = hooks;  // a hook may end its connection, which takes it off the list
    for (auto& hook : all) hook();
  }
};

class DrainHook {
 public:
  DrainHook(std::shared_ptr<DrainHooks> hooks, std::function<void()> hook) : hooks_(std::move(hooks)) {
    if (hooks_->draining) hook();
    place_ = hooks_->hooks.insert(hooks_->hooks.end(), std::move(hook));
  }
  ~DrainHook() { hooks_->hooks.erase(place_); }
  DrainHook(const DrainHook&) = delete;
  DrainHook& operator=(const DrainHook&) = delete;

 private:
  std::shared_ptr<DrainHooks> hooks_;
  DrainHooks::List::iterator place_;
};

// The body of an answer to HEAD.
class NoBodyWriter : public BodyWriter {
 public:
  Task<Result<void>> write(BytesList) override { co_return Result<void>{}; }
  Task<Result<void>> finish(Headers) override { co_return Result<void>{}; }
};

// ---- HTTP/2 ----

class Http2Responder : public Responder {
 public:
  Http2Responder(std::shared_ptr<Http2Stream> stream, bool head) : stream_(std::move(stream)), head_(head) {}

  Task<Result<void>> send(int status, Headers headers, BytesList body) override {
    RD_CO_TRYV(begin(status, headers, total_size(body), !head_ && total_size(body) > 0));
    if (head_ || total_size(body) == 0) co_return Result<void>{};
    RD_CO_TRYV(co_await stream_->write(std::move(body)));
    stream_->finish({});
    co_return Result<void>{};
  }

  Task<Result<std::unique_ptr<BodyWriter>>> start(int status, Headers headers) override {
    RD_CO_TRYV(begin(status, headers, std::nullopt, !head_));
    if (head_) co_return std::make_unique<NoBodyWriter>();
    co_return make_http2_writer(stream_);
  }

  Task<Result<StreamPtr>> upgrade(Headers headers) override {
    RD_CO_TRYV(begin(200, headers, std::nullopt, true));
    co_return make_http2_tunnel(stream_);
  }

  bool started() const override { return started_; }

 private:
  Result<void> begin(int status, Headers& headers, std::optional<size_t> length, bool has_body) {
    if (started_) return internal_error("the response was started twice");
    started_ = true;
    if (stream_->connection == nullptr) return Error(stream_->broken());
    if (length && !headers.has("content-length")) headers.set("content-length", std::to_string(*length));
    RD_TRYV(stream_->connection->respond(*stream_, status, headers, has_body));
    if (!has_body) stream_->out_ended = true;
    return {};
  }

  std::shared_ptr<Http2Stream> stream_;
  bool head_;
  bool started_ = false;
};

Request request_of(Http2Stream& stream) {
  Request request;
  request.version_major = 2;
  // The stream has no further use for them.
  request.headers.reserve(stream.in_headers.size() + 1);
  for (auto& [name, value] : stream.in_headers) {
    if (name == ":method") {
      request.method = std::move(value);
    } else if (name == ":path") {
      request.target = std::move(value);
    } else if (name == ":authority") {
      request.authority = std::move(value);
    } else if (name == ":protocol") {
      request.protocol = std::move(value);
    } else if (!name.starts_with(':')) {
      request.headers.add(std::move(name), std::move(value));
    }
  }
  stream.in_headers = {};
  size_t question = request.target.find('?');
  request.path = request.target.substr(0, question);
  if (question != std::string::npos) request.query = request.target.substr(question + 1);
  if (auto length = request.headers.get("content-length")) {
    uint64_t value = 0;
    if (std::from_chars(length->data(), length->data() + length->size(), value).ec == std::errc())
      request.content_length = value;
  }
  if (request.authority.empty()) request.authority = request.headers.get("host").value_or("");
  return request;
}

Task<void> answer_http2(std::shared_ptr<Http2Stream> stream, std::shared_ptr<const ConnectionInfo> info,
                        std::shared_ptr<const HttpServerOptions> options, std::shared_ptr<size_t> live) {
  struct Live {
    explicit Live(std::shared_ptr<size_t> c) : count(std::move(c)) { ++*count; }
    ~Live() { --*count; }
    std::shared_ptr<size_t> count;
  } counted(std::move(live));
  Request request = request_of(*stream);
  request.connection = std::move(info);
  request.body = make_http2_body(stream);
  Http2Responder responder(stream, request.method == "HEAD");
  try {
    co_await options->handler(std::move(request), responder);
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) throw;
    log_error("request handler failed", {{"error", error.what()}});
  } catch (const std::exception& error) {
    log_error("request handler failed", {{"error", error.what()}});
  }
  if (!responder.started()) {
    co_await responder.send(500, {}, {});
  } else if (!stream->out_ended) {
    stream->reset(NGHTTP2_INTERNAL_ERROR);
  } else if (!stream->in_ended) {
    // The rest of the body interests nobody; the client should not go on sending it.
    stream->stop_reading();
  }
}

Task<void> serve_http2(StreamPtr stream, std::shared_ptr<const ConnectionInfo> info,
                       std::shared_ptr<const HttpServerOptions> options, std::shared_ptr<DrainHooks> hooks,
                       std::string already_read) {
  auto executor = co_await asio::this_coro::executor;
  Http2Connection::Options settings;
  settings.server = true;
  settings.max_streams = options->max_streams_per_connection;
  settings.max_header_bytes = options->max_header_bytes;
  settings.idle_timeout = options->idle_timeout;
  settings.ping_interval = options->ping_interval;
  settings.stream_window = options->stream_window;
  settings.connection_window = options->connection_window;
  auto live = std::make_shared<size_t>(0);
  settings.on_request = [executor, info, options, live](std::shared_ptr<Http2Stream> request) {
    // A reset stream is off HTTP/2's count at once, its handler only once it has noticed.
    if (*live >= 2 * options->max_streams_per_connection) {
      request->reset(NGHTTP2_REFUSED_STREAM);
      return;
    }
    request->handler = std::make_unique<Scope>(executor, "request");
    request->handler->spawn(answer_http2(request, info, options, live));
  };
  auto connection = std::make_shared<Http2Connection>(std::move(stream), std::move(settings), executor);
  DrainHook hook(std::move(hooks), [weak = std::weak_ptr(connection)] {
    if (auto alive = weak.lock()) alive->drain();
  });
  co_await connection->run(std::move(already_read));
}

// ---- HTTP/1.1 ----

struct Http1State {
  explicit Http1State(StreamPtr s) : stream(std::move(s)), reader(*stream) {}
  StreamPtr stream;
  BufferedReader reader;
  bool idle = true;       // between requests
  bool draining = false;  // no further request
};

// After an upgrade: what was read too far first, then the connection.
class UpgradedStream : public Stream {
 public:
  UpgradedStream(std::shared_ptr<Http1State> state) : state_(std::move(state)) {
    left_ = Bytes::take(state_->reader.take_buffered());
  }
  ~UpgradedStream() override { abort(); }
  Task<Result<size_t>> read_some(std::span<char> into) override {
    if (left_.empty()) co_return co_await state_->stream->read_some(into);
    size_t n = std::min(into.size(), left_.size());
    std::memcpy(into.data(), left_.data(), n);
    left_ = left_.slice(n);
    co_return n;
  }
  Task<Result<void>> write(BytesList pieces) override { return state_->stream->write(std::move(pieces)); }
  Task<Result<void>> shutdown_write() override { return state_->stream->shutdown_write(); }
  void abort() noexcept override { state_->stream->abort(); }

 private:
  std::shared_ptr<Http1State> state_;
  Bytes left_;
};

class ChunkedWriter : public BodyWriter {
 public:
  explicit ChunkedWriter(std::shared_ptr<Http1State> state, bool chunked)
      : state_(std::move(state)), chunked_(chunked) {}
  ~ChunkedWriter() override {
    if (!finished_) state_->stream->abort();
  }
  Task<Result<void>> write(BytesList pieces) override {
    size_t size = total_size(pieces);
    if (size == 0) co_return Result<void>{};
    if (chunked_) {
      pieces.insert(pieces.begin(), Bytes::take(fmt::format("{:x}\r\n", size)));
      pieces.push_back(Bytes::of_static("\r\n"));
    }
    co_return co_await state_->stream->write(std::move(pieces));
  }
  Task<Result<void>> finish(Headers trailers) override {
    finished_ = true;
    if (!chunked_) co_return Result<void>{};
    co_return co_await state_->stream->write(one_piece("0\r\n" + format_headers(trailers)));
  }

 private:
  std::shared_ptr<Http1State> state_;
  bool chunked_;
  bool finished_ = false;
};

class Http1Responder : public Responder {
 public:
  // `body_done` says whether the request's body has been read to its end.
  Http1Responder(std::shared_ptr<Http1State> state, std::string_view method, bool close, bool old,
                 std::shared_ptr<const bool> body_done)
      : state_(std::move(state)),
        head_(method == "HEAD"),
        connect_(method == "CONNECT"),
        close_(close),
        old_(old),
        body_done_(std::move(body_done)) {}
  // Whether the client was told that nothing comes after this answer.
  bool closes() const { return close_; }

  Task<Result<void>> send(int status, Headers headers, BytesList body) override {
    started_ = true;
    if (!headers.has("content-length") && status != 204 && status != 304)
      headers.set("content-length", std::to_string(total_size(body)));
    BytesList pieces = head_bytes(status, headers);
    if (!head_) pieces.insert(pieces.end(), body.begin(), body.end());
    co_return co_await state_->stream->write(std::move(pieces));
  }
  Task<Result<std::unique_ptr<BodyWriter>>> start(int status, Headers headers) override {
    started_ = true;
    // To HTTP/1.0 a body without a length goes until the connection closes.
    bool chunked = !headers.has("content-length") && !old_;
    if (chunked) headers.set("transfer-encoding", "chunked");
    RD_CO_TRYV(co_await state_->stream->write(head_bytes(status, headers)));
    if (head_) co_return std::make_unique<NoBodyWriter>();
    std::unique_ptr<BodyWriter> writer = std::make_unique<ChunkedWriter>(state_, chunked);
    co_return writer;
  }
  Task<Result<StreamPtr>> upgrade(Headers headers) override {
    started_ = upgraded_ = true;
    RD_CO_TRYV(co_await state_->stream->write(head_bytes(connect_ ? 200 : 101, headers)));
    StreamPtr out = std::make_unique<UpgradedStream>(state_);
    co_return out;
  }
  bool started() const override { return started_; }
  bool upgraded() const { return upgraded_; }

 private:
  BytesList head_bytes(int status, Headers& headers) {
    // An answer before the body was read ends the connection, and the client has to know (RFC 9112, 9.6).
    close_ = close_ || !*body_done_;
    if (close_ && !upgraded_) headers.set("connection", "close");
    return one_piece(fmt::format("HTTP/1.1 {} {}\r\n", status, status_text(status)) + format_headers(headers));
  }
  std::shared_ptr<Http1State> state_;
  bool head_;
  bool connect_;
  bool close_;
  bool old_;  // HTTP/1.0
  const std::shared_ptr<const bool> body_done_;
  bool started_ = false;
  bool upgraded_ = false;
};

Task<void> run_handler(std::shared_ptr<const HttpServerOptions> options, Request request, Http1Responder& responder) {
  try {
    co_await options->handler(std::move(request), responder);
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) throw;
    log_error("request handler failed", {{"error", error.what()}});
  } catch (const std::exception& error) {
    log_error("request handler failed", {{"error", error.what()}});
  }
}

// Ends the handler when the client goes away while it answers.
Task<void> watch_for_close(std::shared_ptr<Http1State> state, Scope& handler) {
  auto here = co_await state->reader.peek();
  if (!here) handler.cancel();
}

Task<Result<void>> refuse(Stream& stream, const Status& status) {
  std::string body = status.to_json();
  Headers headers{
      {"content-type", "application/json"}, {"connection", "close"}, {"content-length", std::to_string(body.size())}};
  co_return co_await stream.write(one_piece(
      fmt::format("HTTP/1.1 {} {}\r\n", status.code(), status_text(status.code())) + format_headers(headers) + body));
}

// Ends our direction and throws away what the client still sends, for a while: closing at once would reset the
// connection, and the client might never see the answer.
Task<void> linger(std::shared_ptr<Http1State> state) {
  Scope deadline(co_await asio::this_coro::executor, "http1 linger");
  deadline.spawn([](std::shared_ptr<Http1State> s) -> Task<void> {
    co_await sleep_for(kLingerTimeout);
    s->stream->abort();
  }(state));
  if (co_await state->stream->shutdown_write()) {
    for (size_t thrown = 0; thrown < kLingerBytes;) {
      auto piece = co_await state->reader.read_some(kReadBufferBytes);
      if (!piece || piece->empty()) break;
      thrown += piece->size();
    }
  }
  state->stream->abort();
  co_await deadline.join();
}

Task<void> serve_http1(StreamPtr stream, std::shared_ptr<const ConnectionInfo> info,
                       std::shared_ptr<const HttpServerOptions> options, std::shared_ptr<DrainHooks> hooks) {
  auto executor = co_await asio::this_coro::executor;
  auto state = std::make_shared<Http1State>(std::move(stream));
  std::optional<DrainHook> hook;
  hook.emplace(hooks, [state] {
    state->draining = true;
    if (state->idle) state->stream->abort();
  });
  for (bool first = true;; first = false) {
    // A deadline for the header: between requests the idle one.
    Scope deadline(executor, "http1 deadline");
    deadline.spawn([](std::shared_ptr<Http1State> s, std::chrono::seconds limit) -> Task<void> {
      co_await sleep_for(limit);
      s->stream->abort();
    }(state, first ? options->header_timeout : options->idle_timeout));
    auto head = co_await state->reader.read_head(options->max_header_bytes);
    co_await deadline.join();
    if (!head) {
      if (head.error().code() < 500) {
        (void)co_await refuse(*state->stream, head.error());
        co_await linger(state);
      }
      co_return;
    }
    if (head->empty()) co_return;
    if (head->starts_with("PRI * HTTP/2.0\r\n")) {
      std::string rest = std::string(kHttp2Preface.substr(0, 18)) + state->reader.take_buffered();
      StreamPtr raw = std::move(state->stream);
      hook.reset();
      co_await serve_http2(std::move(raw), info, options, hooks, std::move(rest));
      co_return;
    }
    auto request = parse_http1_request(*head);
    std::optional<uint64_t> length;
    Result<BodyFraming> framing =
        request ? body_framing(request->headers, false, length) : Result<BodyFraming>(BodyFraming::None);
    if (!request || !framing) {
      (void)co_await refuse(*state->stream, !request ? request.error() : framing.error());
      co_await linger(state);
      co_return;
    }
    state->idle = false;
    bool old = head->substr(0, head->find('\r')).ends_with("HTTP/1.0");
    bool close = request->headers.has_token("connection", "close");
    std::string method = request->method;
    bool upgrade = request->wants_upgrade();
    auto body_done = std::make_shared<bool>(false);
    std::function<Task<Result<void>>()> before;
    if (request->headers.has_token("expect", "100-continue")) {
      before = [state]() -> Task<Result<void>> {
        return state->stream->write(one_piece("HTTP/1.1 100 Continue\r\n\r\n"));
      };
    }
    request->content_length = length;
    request->connection = info;
    request->body = make_http1_body(state->reader, *framing, length.value_or(0), body_done, std::move(before));
    Http1Responder responder(state, method, close, old, body_done);
    Scope handler(executor, "request");
    handler.spawn(run_handler(options, std::move(*request), responder));
    // Only with the whole body in hand can a read tell whether the client is still there; an upgraded connection reads
    // for itself.
    Scope closing(executor, "http1 close");
    if (*body_done && !upgrade) closing.spawn(watch_for_close(state, handler));
    std::exception_ptr cancelled;
    try {
      co_await handler.wait_idle();
    } catch (...) {
      cancelled = std::current_exception();
    }
    if (cancelled) {
      state->stream->abort();
      co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    }
    co_await handler.join();
    bool peeking = closing.running() > 0;
    if (cancelled) {
      co_await closing.join();
      std::rethrow_exception(cancelled);
    }
    if (responder.upgraded()) co_return;
    if (!responder.started()) co_await responder.send(500, {}, {});
    if (responder.closes() || state->draining || !*body_done) {
      if (peeking) {
        // The pending read sees the client's end, after which nothing is left to throw away.
        (void)co_await state->stream->shutdown_write();
        Scope limit(executor, "http1 linger");
        limit.spawn([](std::shared_ptr<Http1State> s) -> Task<void> {
          co_await sleep_for(kLingerTimeout);
          s->stream->abort();
        }(state));
        co_await closing.wait_idle();
        co_await limit.join();
        state->stream->abort();
      } else {
        co_await linger(state);
      }
      co_return;
    }
    state->idle = true;
    // The pending read of watch_for_close is the next request's first: let it finish rather than tear the stream.
    if (peeking) {
      Scope idle(executor, "http1 idle");
      idle.spawn([](std::shared_ptr<Http1State> s, std::chrono::seconds limit) -> Task<void> {
        co_await sleep_for(limit);
        s->stream->abort();
      }(state, options->idle_timeout));
      co_await closing.wait_idle();
      co_await idle.join();
    }
  }
}

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
    auto& loops = loops_;
    // Each loop's connections belong to that loop: ask it, and wait for its answer on ours.
    auto executor = co_await asio::this_coro::executor;
    auto left = std::make_shared<std::atomic<size_t>>(loops.size());
    auto done = std::make_shared<Event>(executor);
    for (size_t i = 0; i < loops.size(); ++i) {
      asio::post(loops.executor(i), [this, i, left, done, executor, deadline] {
        if (i == 0) {
          boost::system::error_code ignored;
          acceptor_->close(ignored);
        }
        shared_->hooks[i]->drain();
        drains_[i] = std::make_unique<Scope>(loops_.executor(i), "drain");
        drains_[i]->spawn(end_connections(*scopes_[i], deadline, left, done, executor));
      });
    }
    while (left->load() > 0) co_await done->wait_for(std::chrono::milliseconds(50));
  }

 private:
  static Task<void> end_connections(Scope& scope, std::chrono::milliseconds deadline,
                                    std::shared_ptr<std::atomic<size_t>> left, std::shared_ptr<Event> done,
                                    Executor executor) {
    auto end = std::chrono::steady_clock::now() + deadline;
    while (scope.running() > 0 && std::chrono::steady_clock::now() < end)
      co_await sleep_for(std::chrono::milliseconds(10));
    co_await scope.join();
    left->fetch_sub(1);
    asio::post(executor, [done] { done->notify(); });
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
