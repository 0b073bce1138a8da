#include <boost/asio/error.hpp>

#include "base/log.h"
#include "net/http1.h"
#include "net/http_connection.h"
#include "net/limits.h"
#include "net/unsent.h"

namespace redoubt::net {

namespace asio = boost::asio;

namespace {

BytesList one_piece(std::string text) {
  BytesList out;
  out.push_back(Bytes::take(std::move(text)));
  return out;
}

struct Http1State {
  explicit Http1State(StreamPtr s) : stream(std::move(s)), reader(*stream) {}
  StreamPtr stream;
  BufferedReader reader;
  bool idle = true;       // between requests
  bool draining = false;  // no further request
};

// After an upgrade: what was read too far first, then the connection.
class UpgradedStream : public Stream, public LimitsUnsent {
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
  void limit_unsent(int bytes) override { net::limit_unsent(*state_->stream, bytes); }

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
    if (options->starter) {
      auto answer = options->starter(std::move(request), responder, nullptr);
      if (answer) co_await std::move(*answer);
    } else {
      co_await options->handler(std::move(request), responder);
    }
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

}  // namespace

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

}  // namespace redoubt::net
