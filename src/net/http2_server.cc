#include <nghttp2/nghttp2.h>

#include <boost/asio/error.hpp>
#include <charconv>

#include "base/log.h"
#include "net/http2.h"
#include "net/http_connection.h"

namespace redoubt::net {

namespace asio = boost::asio;

namespace {

class Http2Responder : public Responder, public ImmediateResponder {
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

  void send_now(int status, Headers headers, BytesList body) override {
    bool has_body = !head_ && total_size(body) > 0;
    if (begin(status, headers, total_size(body), has_body) && has_body) stream_->put_last(std::move(body));
  }

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

// What is left to do once a request was answered, or was not.
void end_answer(Http2Stream& stream) {
  if (!stream.out_ended) {
    stream.reset(NGHTTP2_INTERNAL_ERROR);
  } else if (!stream.in_ended) {
    // The rest of the body interests nobody; the client should not go on sending it.
    stream.stop_reading();
  }
}

Task<void> answer_http2(std::shared_ptr<Http2Stream> stream, std::unique_ptr<Http2Responder> responder,
                        std::shared_ptr<const HttpServerOptions>, Task<void> answer, std::shared_ptr<size_t> live) {
  struct Live {
    explicit Live(std::shared_ptr<size_t> c) : count(std::move(c)) { ++*count; }
    ~Live() { --*count; }
    std::shared_ptr<size_t> count;
  } counted(std::move(live));
  try {
    co_await std::move(answer);
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) throw;
    log_error("request handler failed", {{"error", error.what()}});
  } catch (const std::exception& error) {
    log_error("request handler failed", {{"error", error.what()}});
  }
  if (!responder->started()) {
    co_await responder->send(500, {}, {});
  } else {
    end_answer(*stream);
  }
}

}  // namespace

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
    Request parsed = request_of(*request);
    parsed.connection = info;
    parsed.body = make_http2_body(request);
    auto responder = std::make_unique<Http2Responder>(request, parsed.method == "HEAD");
    std::optional<Task<void>> answer;
    // Nothing may be thrown through the parser, which is C.
    try {
      answer = options->starter ? options->starter(std::move(parsed), *responder, responder.get())
                                : options->handler(std::move(parsed), *responder);
    } catch (const std::exception& error) {
      log_error("request handler failed", {{"error", error.what()}});
      if (!responder->started()) responder->send_now(500, {}, {});
    }
    if (!answer) {
      end_answer(*request);
      return;
    }
    request->handler = std::make_unique<Scope>(executor, "request");
    request->handler->spawn(answer_http2(request, std::move(responder), options, std::move(*answer), live));
  };
  auto connection = std::make_shared<Http2Connection>(std::move(stream), std::move(settings), executor);
  DrainHook hook(std::move(hooks), [weak = std::weak_ptr(connection)] {
    if (auto alive = weak.lock()) alive->drain();
  });
  co_await connection->run(std::move(already_read));
}

}  // namespace redoubt::net
