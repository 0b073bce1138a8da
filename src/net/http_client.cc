#include "net/http_client.h"

#include <nghttp2/nghttp2.h>

#include "base/deadline.h"
#include "base/event.h"
#include "base/log.h"
#include "net/http1.h"
#include "net/http2.h"
#include "net/http_exchange.h"
#include "net/limits.h"
#include "net/trailers.h"
#include "net/unsent.h"

namespace redoubt::net {

namespace {

constexpr size_t kMaxResponseHeadBytes = 256 * 1024;
// Until a connection stands, handshake included: others may be waiting for it.
constexpr std::chrono::milliseconds kDialTimeout{30'000};

// An HTTP/1.1 connection: idle in the pool, or held by one response's body.
struct Http1Connection {
  explicit Http1Connection(StreamPtr s) : stream(std::move(s)), reader(*stream) {}
  StreamPtr stream;
  BufferedReader reader;
};

// Resets the stream when a response is dropped before its end.
class Http2ResponseBody : public TrailedBody {
 public:
  Http2ResponseBody(std::shared_ptr<Http2Stream> stream, std::shared_ptr<Http2Connection> connection)
      : stream_(std::move(stream)), connection_(std::move(connection)) {}
  ~Http2ResponseBody() override {
    if (!stream_->in_ended || !stream_->out_ended) stream_->reset(NGHTTP2_CANCEL);
  }
  Task<Result<Bytes>> read_some() override { return stream_->read_some(); }
  Headers trailers() const override { return stream_->in_trailers; }

 private:
  std::shared_ptr<Http2Stream> stream_;
  std::shared_ptr<Http2Connection> connection_;
};

Result<ClientResponse> response_of(const std::shared_ptr<Http2Stream>& stream, std::unique_ptr<BodyReader> body) {
  ClientResponse out;
  for (const auto& [name, value] : stream->in_headers) {
    if (name == ":status") {
      std::from_chars(value.data(), value.data() + value.size(), out.status);
    } else {
      out.headers.add(name, value);
    }
  }
  out.trailers_storage = std::shared_ptr<Headers>(stream, &stream->in_trailers);
  out.body = std::move(body);
  return out;
}

class Http2Duplex : public DuplexCall {
 public:
  Http2Duplex(std::shared_ptr<Http2Stream> stream, std::shared_ptr<Http2Connection> connection)
      : stream_(std::move(stream)), connection_(std::move(connection)) {}
  ~Http2Duplex() override {
    if (!stream_->in_ended || !stream_->out_ended) stream_->reset(NGHTTP2_CANCEL);
  }
  Task<Result<void>> write(BytesList pieces) override { return stream_->write(std::move(pieces)); }
  void finish() override { stream_->finish({}); }
  void cancel() noexcept override { stream_->reset(NGHTTP2_CANCEL); }

  Task<Result<ClientResponse>> response(std::chrono::milliseconds limit) override {
    auto stream = stream_;
    auto end = std::chrono::steady_clock::now() + limit;
    while (!stream->headers_done) {
      if (stream->closed) co_return Error(stream->broken());
      if (limit.count() == 0) {
        co_await stream->changed.wait();
        continue;
      }
      auto left = end - std::chrono::steady_clock::now();
      if (left.count() <= 0) co_return timeout(fmt::format("no answer within {} ms", limit.count()));
      co_await stream->changed.wait_for(left);
    }
    co_return response_of(stream, make_http2_body(stream));
  }

 private:
  std::shared_ptr<Http2Stream> stream_;
  std::shared_ptr<Http2Connection> connection_;
};

struct Pool {
  std::vector<std::shared_ptr<Http1Connection>> idle;
  size_t max_idle = 4;
};

class Http1ResponseBody : public TrailedBody {
 public:
  Http1ResponseBody(std::shared_ptr<Http1Connection> connection, BodyFraming framing, uint64_t length, bool keep,
                    std::weak_ptr<Pool> pool)
      : connection_(std::move(connection)), done_(std::make_shared<bool>(false)), keep_(keep), pool_(std::move(pool)) {
    body_ = make_http1_body(connection_->reader, framing, length, done_);
    give_back();
  }
  ~Http1ResponseBody() override {
    if (connection_) connection_->stream->abort();
  }
  Task<Result<Bytes>> read_some() override {
    if (!connection_) co_return Bytes();
    auto piece = co_await body_->read_some();
    give_back();
    co_return piece;
  }
  Headers trailers() const override { return trailers_of(body_.get()); }

 private:
  void give_back() {
    if (!*done_ || !connection_) return;
    auto pool = pool_.lock();
    if (keep_ && pool && pool->idle.size() < pool->max_idle) {
      pool->idle.push_back(std::move(connection_));
    } else {
      connection_->stream->abort();
    }
    connection_ = nullptr;
  }
  std::shared_ptr<Http1Connection> connection_;
  std::shared_ptr<bool> done_;
  std::unique_ptr<BodyReader> body_;
  bool keep_;
  std::weak_ptr<Pool> pool_;
};

std::string host_only(const std::string& host) {
  auto address = parse_address(host);
  return address ? address->host : host;
}

class UpgradedClientStream : public Stream, public LimitsUnsent {
 public:
  explicit UpgradedClientStream(std::shared_ptr<Http1Connection> connection) : connection_(std::move(connection)) {
    left_ = Bytes::take(connection_->reader.take_buffered());
  }
  ~UpgradedClientStream() override { abort(); }
  Task<Result<size_t>> read_some(std::span<char> into) override {
    if (left_.empty()) co_return co_await connection_->stream->read_some(into);
    size_t n = std::min(into.size(), left_.size());
    std::memcpy(into.data(), left_.data(), n);
    left_ = left_.slice(n);
    co_return n;
  }
  Task<Result<void>> write(BytesList pieces) override { return connection_->stream->write(std::move(pieces)); }
  Task<Result<void>> shutdown_write() override { return connection_->stream->shutdown_write(); }
  void abort() noexcept override { connection_->stream->abort(); }
  void limit_unsent(int bytes) override { net::limit_unsent(*connection_->stream, bytes); }

 private:
  std::shared_ptr<Http1Connection> connection_;
  Bytes left_;
};

struct Transport {
  StreamPtr stream;
  bool http2 = false;
};

// The body of a request over HTTP/1.1: by its length, or in chunks.
class Http1RequestBody : public BodyWriter {
 public:
  Http1RequestBody(std::shared_ptr<Http1Connection> connection, std::optional<uint64_t> length)
      : connection_(std::move(connection)), left_(length) {}
  ~Http1RequestBody() override {
    if (!finished_) connection_->stream->abort();
  }
  Task<Result<void>> write(BytesList pieces) override {
    size_t size = total_size(pieces);
    if (size == 0) co_return Result<void>{};
    if (left_) {
      // More would be the beginning of another request to the server.
      if (size > *left_) co_return bad_request("the body is longer than its content-length");
      *left_ -= size;
    } else {
      pieces.insert(pieces.begin(), Bytes::take(fmt::format("{:x}\r\n", size)));
      pieces.push_back(Bytes::of_static("\r\n"));
    }
    co_return co_await connection_->stream->write(std::move(pieces));
  }
  Task<Result<void>> finish(Headers trailers) override {
    if (left_) {
      if (*left_ > 0) co_return bad_request("the body is shorter than its content-length");
      finished_ = true;
      co_return Result<void>{};
    }
    BytesList pieces;
    pieces.push_back(Bytes::take("0\r\n" + format_headers(trailers)));
    finished_ = true;
    co_return co_await connection_->stream->write(std::move(pieces));
  }

 private:
  std::shared_ptr<Http1Connection> connection_;
  std::optional<uint64_t> left_;
  bool finished_ = false;
};

class HttpClientImpl : public HttpClient {
 public:
  HttpClientImpl(Executor executor, Options options)
      : executor_(executor),
        options_(std::move(options)),
        scope_(std::make_unique<Scope>(executor, "http client")),
        only_http1_(!options_.tls && !options_.http2_prior_knowledge),
        dialed_(executor) {
    pool_->max_idle = options_.max_idle_connections;
  }
  ~HttpClientImpl() override {
    if (http2_) http2_->abort();
    for (auto& connection : pool_->idle) connection->stream->abort();
    scope_->cancel();
  }

  Task<Result<ClientResponse>> send(ClientRequest request) override {
    // Again only when the server can't have seen the first try: a kept connection that turned out to be closed.
    for (int attempt = 0;; ++attempt) {
      bool fresh = false;
      bool seen = false;
      auto response = co_await try_send(request, fresh, seen);
      if (response || fresh || seen || attempt >= 2 || request.body_source) co_return response;
    }
  }

  Task<Result<std::unique_ptr<HttpExchange>>> exchange(ClientRequest request) {
    bool fresh = false;
    RD_CO_TRY(Connected connected, co_await connection_for(fresh, false));
    if (connected.http2) {
      RD_CO_TRY(auto stream, connected.http2->request(http2_headers(request), true));
      std::unique_ptr<HttpExchange> out =
          std::make_unique<Http2Exchange>(std::move(request), std::move(stream), connected.http2);
      co_return out;
    }
    RD_CO_TRYV(co_await write_http1_head(*connected.http1, request, true));
    std::unique_ptr<HttpExchange> out =
        std::make_unique<Http1Exchange>(*this, std::move(request), std::move(connected.http1));
    co_return out;
  }

  Task<Result<UpgradeResponse>> upgrade(ClientRequest request) override {
    RD_CO_TRY(Transport transport, co_await dial(true));
    auto connection = std::make_shared<Http1Connection>(std::move(transport.stream));
    RD_CO_TRYV(co_await write_http1(*connection, request));
    RD_CO_TRY(Http1Head head, co_await read_http1_head(*connection, request));
    UpgradeResponse out;
    out.status = status_of(head);
    out.headers = std::move(head.headers);
    if (out.status == 101) {
      out.stream = std::make_unique<UpgradedClientStream>(connection);
      co_return out;
    }
    std::optional<uint64_t> length;
    RD_CO_TRY(BodyFraming framing, body_framing(out.headers, true, length));
    out.body =
        std::make_unique<Http1ResponseBody>(connection, framing, length.value_or(0), false, std::weak_ptr<Pool>());
    co_return out;
  }

  Task<Result<std::unique_ptr<DuplexCall>>> open(ClientRequest request) override {
    RD_CO_TRYV(co_await wait_for_dial());
    if (!http2_ || !http2_->usable()) {
      RD_CO_TRY(Transport transport, co_await connect());
      if (!transport.http2) {
        if (transport.stream) transport.stream->abort();
        co_return service_unavailable(fmt::format("{} speaks no HTTP/2", options_.host));
      }
    }
    auto connection = http2_;
    RD_CO_TRY(auto stream, connection->request(http2_headers(request), true));
    std::unique_ptr<DuplexCall> call = std::make_unique<Http2Duplex>(std::move(stream), std::move(connection));
    co_return call;
  }

  void drop_idle() override {
    for (auto& connection : pool_->idle) connection->stream->abort();
    pool_->idle.clear();
    // Requests under way keep the old connection alive until they end.
    if (http2_) {
      if (http2_->streams() == 0) http2_->abort();
      http2_ = nullptr;
    }
  }

 private:
  struct Connected {
    std::shared_ptr<Http2Connection> http2;
    std::shared_ptr<Http1Connection> http1;
  };

  class Http2Exchange : public HttpExchange {
   public:
    Http2Exchange(ClientRequest request, std::shared_ptr<Http2Stream> stream,
                  std::shared_ptr<Http2Connection> connection)
        : request_(std::move(request)),
          stream_(stream),
          reader_(std::make_unique<Http2ResponseBody>(stream, std::move(connection))) {}
    std::unique_ptr<BodyWriter> body() override { return make_http2_writer(stream_); }
    Task<Result<ClientResponse>> response() override {
      bool seen = false;
      co_return co_await read_http2_response(request_, stream_, std::move(reader_), seen);
    }

   private:
    ClientRequest request_;
    std::shared_ptr<Http2Stream> stream_;
    std::unique_ptr<Http2ResponseBody> reader_;
  };

  class Http1Exchange : public HttpExchange {
   public:
    Http1Exchange(HttpClientImpl& client, ClientRequest request, std::shared_ptr<Http1Connection> connection)
        : client_(client), request_(std::move(request)), connection_(std::move(connection)) {}
    ~Http1Exchange() override {
      if (!answered_) connection_->stream->abort();
    }
    std::unique_ptr<BodyWriter> body() override {
      std::optional<uint64_t> length;
      (void)body_framing(request_.headers, false, length);
      return std::make_unique<Http1RequestBody>(connection_, length);
    }
    Task<Result<ClientResponse>> response() override {
      bool seen = false;
      // Not kept for another request: the answer may end before the request does.
      auto out = co_await client_.read_http1_response(connection_, request_, seen, false);
      answered_ = out.has_value();
      co_return out;
    }

   private:
    HttpClientImpl& client_;
    ClientRequest request_;
    std::shared_ptr<Http1Connection> connection_;
    bool answered_ = false;
  };

  // dial_now() with a deadline over the whole of it.
  Task<Result<Transport>> dial(bool http1_only) {
    auto outcome = std::make_shared<std::optional<Result<Transport>>>();
    (void)co_await finish_within(
        kDialTimeout,
        [](HttpClientImpl& self, bool http1, std::shared_ptr<std::optional<Result<Transport>>> out) -> Task<void> {
          out->emplace(co_await self.dial_now(http1));
        }(*this, http1_only, outcome));
    if (!*outcome)
      co_return timeout(fmt::format("no connection to {} within {} ms", options_.host, kDialTimeout.count()));
    co_return std::move(**outcome);
  }

  Task<Result<Transport>> dial_now(bool http1_only) {
    RD_CO_TRY(StreamPtr raw, co_await options_.dial());
    Transport out;
    if (!options_.tls) {
      out.stream = std::move(raw);
      out.http2 = options_.http2_prior_knowledge && !http1_only;
      co_return out;
    }
    RD_CO_TRY(TlsStream tls, co_await tls_connect(std::move(raw), options_.tls, host_only(options_.host), http1_only));
    out.http2 = tls.peer.alpn == "h2";
    out.stream = std::move(tls.stream);
    co_return out;
  }

  // A connection to send one request over: `fresh` when it was made for it. `reuse`: an idle HTTP/1.1 connection does.
  Task<Result<Connected>> connection_for(bool& fresh, bool reuse) {
    // One dial at a time where it may give HTTP/2: that connection then serves all who waited.
    if (!only_http1_) {
      if (auto waited = co_await wait_for_dial(); !waited) {
        fresh = true;  // as if it were the caller's own dial that failed
        co_return Error(waited.error());
      }
    }
    if (http2_ && http2_->usable()) co_return Connected{http2_, nullptr};
    if (reuse && !pool_->idle.empty()) {
      auto connection = std::move(pool_->idle.back());
      pool_->idle.pop_back();
      co_return Connected{nullptr, std::move(connection)};
    }
    fresh = true;
    RD_CO_TRY(Transport transport, co_await connect());
    if (transport.http2) co_return Connected{http2_, nullptr};
    co_return Connected{nullptr, std::make_shared<Http1Connection>(std::move(transport.stream))};
  }

  Task<Result<ClientResponse>> try_send(const ClientRequest& request, bool& fresh, bool& seen) {
    RD_CO_TRY(Connected connected, co_await connection_for(fresh, true));
    if (connected.http2) co_return co_await send_http2(connected.http2, request, seen);
    co_return co_await send_http1(std::move(connected.http1), request, seen);
  }

  // While somebody dials. If that comes to nothing its error is that of all who waited: one after the other they would
  // wait for a backend that doesn't answer, each for as long as a dial may take.
  Task<Result<void>> wait_for_dial() {
    uint64_t failed = failed_dials_;
    while (dialing_ && !(http2_ && http2_->usable())) {
      co_await dialed_.wait();
      if (failed_dials_ != failed) co_return Error(dial_failure_);
    }
    co_return Result<void>{};
  }

  // Dials; an HTTP/2 connection becomes http2_, and the transport's stream is then part of it.
  Task<Result<Transport>> connect() {
    dialing_ = true;
    struct Dialed {
      HttpClientImpl& self;
      ~Dialed() {
        self.dialing_ = false;
        self.dialed_.notify();
      }
    } dialed{*this};
    auto dialled = co_await dial(false);
    if (!dialled) {
      ++failed_dials_;
      dial_failure_ = dialled.error();
      co_return Error(dialled.error());
    }
    Transport transport = std::move(*dialled);
    only_http1_ = !transport.http2;
    if (transport.http2) {
      Http2Connection::Options settings;
      settings.server = false;
      settings.ping_interval = options_.ping_interval;
      settings.max_header_bytes = kMaxResponseHeadBytes;
      settings.stream_window = options_.stream_window;
      settings.connection_window = options_.connection_window;
      http2_ = std::make_shared<Http2Connection>(std::move(transport.stream), std::move(settings), executor_);
      scope_->spawn(run_connection(http2_));
    }
    co_return transport;
  }

  static Task<void> run_connection(std::shared_ptr<Http2Connection> connection) { co_await connection->run(); }

  Task<Result<ClientResponse>> send_http2(std::shared_ptr<Http2Connection> connection, const ClientRequest& request,
                                          bool& seen) {
    Headers headers = http2_headers(request);
    bool has_body = !request.body.empty() || request.body_source;
    if (!request.body.empty() && !headers.has("content-length"))
      headers.add("content-length", std::to_string(total_size(request.body)));
    RD_CO_TRY(auto stream, connection->request(headers, has_body));
    // From here on a cancelled caller resets the stream.
    auto body = std::make_unique<Http2ResponseBody>(stream, connection);
    if (!request.body.empty()) {
      RD_CO_TRYV(co_await stream->write(request.body));
      stream->finish({});
    } else if (request.body_source) {
      while (true) {
        RD_CO_TRY(Bytes piece, co_await request.body_source());
        if (piece.empty()) break;
        BytesList pieces;
        pieces.push_back(std::move(piece));
        RD_CO_TRYV(co_await stream->write(std::move(pieces)));
      }
      stream->finish({});
    }
    co_return co_await read_http2_response(request, std::move(stream), std::move(body), seen);
  }

  static Task<Result<ClientResponse>> read_http2_response(const ClientRequest& request,
                                                          std::shared_ptr<Http2Stream> stream,
                                                          std::unique_ptr<Http2ResponseBody> body, bool& seen) {
    while (!stream->headers_done) {
      if (stream->closed) {
        seen = stream->error_code != NGHTTP2_REFUSED_STREAM && stream->error_code != NGHTTP2_CONNECT_ERROR;
        co_return Error(stream->broken());
      }
      if (request.header_timeout.count() == 0) {
        co_await stream->changed.wait();
      } else if (!co_await stream->changed.wait_for(request.header_timeout) && !stream->headers_done) {
        seen = true;
        co_return timeout(fmt::format("{} {}: no answer within {} ms", request.method, request.target.substr(0, 200),
                                      request.header_timeout.count()));
      }
    }
    seen = true;
    co_return response_of(stream, std::move(body));
  }

  Headers http2_headers(const ClientRequest& request) const {
    Headers headers{{":method", request.method},
                    {":scheme", options_.tls ? "https" : "http"},
                    {":authority", request.authority.empty() ? options_.host : request.authority},
                    {":path", request.target}};
    for (const auto& [name, value] : request.headers) headers.add(name, value);
    return headers;
  }

  // `streamed`: the body follows by an HttpExchange.
  Task<Result<void>> write_http1_head(Http1Connection& connection, const ClientRequest& request, bool streamed) {
    Headers headers{{"host", request.authority.empty() ? options_.host : request.authority}};
    for (const auto& [name, value] : request.headers) headers.add(name, value);
    if (streamed) {
      if (!headers.has("content-length")) headers.set("transfer-encoding", "chunked");
    } else if (request.body_source) {
      headers.set("transfer-encoding", "chunked");
    } else if (!request.body.empty() || request.method == "POST" || request.method == "PUT" ||
               request.method == "PATCH") {
      headers.set("content-length", std::to_string(total_size(request.body)));
    }
    BytesList pieces;
    pieces.push_back(
        Bytes::take(fmt::format("{} {} HTTP/1.1\r\n", request.method, request.target) + format_headers(headers)));
    if (!streamed) pieces.insert(pieces.end(), request.body.begin(), request.body.end());
    co_return co_await connection.stream->write(std::move(pieces));
  }

  Task<Result<void>> write_http1(Http1Connection& connection, const ClientRequest& request) {
    RD_CO_TRYV(co_await write_http1_head(connection, request, false));
    while (request.body_source) {
      RD_CO_TRY(Bytes piece, co_await request.body_source());
      BytesList chunk;
      if (piece.empty()) {
        chunk.push_back(Bytes::of_static("0\r\n\r\n"));
        co_return co_await connection.stream->write(std::move(chunk));
      }
      chunk.push_back(Bytes::take(fmt::format("{:x}\r\n", piece.size())));
      chunk.push_back(std::move(piece));
      chunk.push_back(Bytes::of_static("\r\n"));
      RD_CO_TRYV(co_await connection.stream->write(std::move(chunk)));
    }
    co_return Result<void>{};
  }

  static int status_of(const Http1Head& head) {
    int status = 0;
    if (head.start_line.size() >= 12) std::from_chars(head.start_line.data() + 9, head.start_line.data() + 12, status);
    return status;
  }

  // Of the answer itself, behind any 1xx.
  static Task<Result<Http1Head>> next_final_head(Http1Connection& connection) {
    while (true) {
      RD_CO_TRY(std::string text, co_await connection.reader.read_head(kMaxResponseHeadBytes));
      if (text.empty()) co_return service_unavailable("EOF: the server closed the connection before it answered");
      auto head = parse_http1_head(text);
      if (head && !head->start_line.starts_with("HTTP/1.")) co_return service_unavailable("malformed HTTP response");
      if (!head || status_of(*head) / 100 != 1 || status_of(*head) == 101) co_return head;
    }
  }

  Task<Result<Http1Head>> read_http1_head(Http1Connection& connection, const ClientRequest& request) {
    auto executor = co_await boost::asio::this_coro::executor;
    Scope deadline(executor, "http1 response deadline");
    if (request.header_timeout.count() > 0) {
      deadline.spawn([](Stream& stream, std::chrono::milliseconds limit) -> Task<void> {
        co_await sleep_for(limit);
        stream.abort();
      }(*connection.stream, request.header_timeout));
    }
    Result<Http1Head> out = service_unavailable("no response");
    std::exception_ptr thrown;
    try {
      out = co_await next_final_head(connection);
      // Within the try: a read that was cancelled may be an error and no exception, and then this throws before it
      // begins.
      co_await deadline.join();
    } catch (...) {
      thrown = std::current_exception();
    }
    // The deadline refers to the connection, which goes with a cancelled request: joined in any case.
    if (thrown) {
      co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
      co_await deadline.join();
      std::rethrow_exception(thrown);
    }
    co_return out;
  }

  Task<Result<ClientResponse>> send_http1(std::shared_ptr<Http1Connection> connection, const ClientRequest& request,
                                          bool& seen) {
    RD_CO_TRYV(co_await write_http1(*connection, request));
    co_return co_await read_http1_response(std::move(connection), request, seen, true);
  }

  Task<Result<ClientResponse>> read_http1_response(std::shared_ptr<Http1Connection> connection,
                                                   const ClientRequest& request, bool& seen, bool may_keep) {
    RD_CO_TRY(Http1Head head, co_await read_http1_head(*connection, request));
    seen = true;
    ClientResponse out;
    out.status = status_of(head);
    bool no_body = request.method == "HEAD" || out.status == 204 || out.status == 304;
    std::optional<uint64_t> length;
    RD_CO_TRY(BodyFraming framing, body_framing(head.headers, true, length));
    if (no_body) framing = BodyFraming::None;
    bool keep = may_keep && framing != BodyFraming::UntilClose && !head.headers.has_token("connection", "close");
    out.headers = std::move(head.headers);
    out.body = std::make_unique<Http1ResponseBody>(connection, framing, length.value_or(0), keep, pool_);
    co_return out;
  }

  Executor executor_;
  Options options_;
  std::unique_ptr<Scope> scope_;
  std::shared_ptr<Pool> pool_ = std::make_shared<Pool>();
  std::shared_ptr<Http2Connection> http2_;
  bool dialing_ = false;
  bool only_http1_;  // what the last dial gave, or all that a dial can give
  uint64_t failed_dials_ = 0;
  Status dial_failure_;  // of the last that failed
  Event dialed_;
};

}  // namespace

Headers ClientResponse::trailers() const {
  if (trailers_storage) return *trailers_storage;
  return trailers_of(body.get());
}

Task<Result<std::unique_ptr<HttpExchange>>> begin_exchange(HttpClient& client, ClientRequest request) {
  return static_cast<HttpClientImpl&>(client).exchange(std::move(request));
}

std::unique_ptr<HttpClient> HttpClient::make(Executor executor, Options options) {
  return std::make_unique<HttpClientImpl>(executor, std::move(options));
}

}  // namespace redoubt::net
