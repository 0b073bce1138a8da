// One stream of an HTTP/2 connection: its two directions with their windows, and as the body, writer and tunnel that
// the rest of net knows.
#include <nghttp2/nghttp2.h>

#include "net/http2.h"
#include "net/limits.h"
#include "net/pieces.h"
#include "net/trailers.h"

namespace redoubt::net {

Status Http2Stream::broken() const {
  if (error_code == NGHTTP2_CONNECT_ERROR || error_code == NGHTTP2_NO_ERROR)
    return Status(503, "ServiceUnavailable", "http2: the connection is lost");
  return Status(503, "ServiceUnavailable", fmt::format("http2: stream reset: {}", nghttp2_http2_strerror(error_code)));
}

Task<Result<void>> Http2Stream::wait_readable(bool& ended) {
  while (in.empty()) {
    ended = in_ended;
    if (in_ended) co_return Result<void>{};
    if (closed) co_return Error(broken());
    co_await changed.wait();
  }
  co_return Result<void>{};
}

// Gives the peer its credit back, and more of it to a tunnel whose reader keeps up.
void Http2Stream::was_read(size_t bytes) {
  if (connection == nullptr) return;
  Http2Connection& c = *connection;
  if (!c.options_.tunnel) {
    nghttp2_session_consume(c.session_, id, bytes);
    c.wake_writer();
    return;
  }
  nghttp2_session_consume_stream(c.session_, id, bytes);
  c.wake_writer();
  if (window == 0) window = kTunnelStreamWindow;
  window_read += bytes;
  // What was read in a round trip is what the path carries; twice that keeps it full. By the shortest round trip: under
  // load a longer one only says how much is queued, and more window would queue more.
  auto present = std::chrono::steady_clock::now();
  std::chrono::duration<double> period = std::max(kTunnelGrowTime, c.round_trip()), passed = present - window_since;
  if (passed < period) return;
  double wanted = 2 * static_cast<double>(window_read) * (period / passed);
  window_read = 0;
  window_since = present;
  int32_t grown = std::min(window * 2, kTunnelMaxStreamWindow);
  auto more = static_cast<size_t>(grown - window);
  if (wanted <= window || more == 0 || c.grown_ + more > kTunnelGrownBytes) return;
  if (nghttp2_session_set_local_window_size(c.session_, NGHTTP2_FLAG_NONE, id, grown) != 0) return;
  c.grown_ += more;
  window = grown;
}

Task<Result<Bytes>> Http2Stream::read_some() {
  auto self = shared_from_this();
  bool ended = false;
  if (in.empty()) RD_CO_TRYV(co_await wait_readable(ended));
  if (ended) co_return Bytes();
  Bytes piece = std::move(in.front());
  in.pop_front();
  was_read(piece.size());
  co_return piece;
}

Task<Result<BytesList>> Http2Stream::read_pieces() {
  auto self = shared_from_this();
  bool ended = false;
  if (in.empty()) RD_CO_TRYV(co_await wait_readable(ended));
  if (ended) co_return BytesList();
  BytesList pieces = in.take();
  was_read(total_size(pieces));
  co_return pieces;
}

Task<Result<void>> Http2Stream::write(BytesList pieces) {
  auto self = shared_from_this();
  while (out_bytes >= kBodyQueueBytes && !closed) co_await changed.wait();
  if (closed || connection == nullptr) co_return Error(broken());
  std::erase_if(pieces, [](const Bytes& piece) { return piece.empty(); });
  out_bytes += total_size(pieces);
  out.append(std::move(pieces));
  if (std::exchange(out_deferred, false)) nghttp2_session_resume_data(connection->session_, id);
  connection->wake_writer();
  co_return Result<void>{};
}

void Http2Stream::finish(Headers trailers) {
  if (closed || connection == nullptr || out_ended) return;
  out_ended = true;
  out_trailers = std::move(trailers);
  if (std::exchange(out_deferred, false)) nghttp2_session_resume_data(connection->session_, id);
  connection->wake_writer();
}

void Http2Stream::put_last(BytesList pieces) {
  if (closed || connection == nullptr || out_ended) return;
  std::erase_if(pieces, [](const Bytes& piece) { return piece.empty(); });
  out_bytes += total_size(pieces);
  out.append(std::move(pieces));
  finish({});
}

void Http2Stream::widen_window(int32_t bytes) {
  if (closed || connection == nullptr) return;
  nghttp2_session_set_local_window_size(connection->session_, NGHTTP2_FLAG_NONE, id, bytes);
  nghttp2_session_set_local_window_size(connection->session_, NGHTTP2_FLAG_NONE, 0, bytes);
  connection->wake_writer();
}

void Http2Stream::reset(uint32_t code) {
  if (closed || connection == nullptr) return;
  nghttp2_submit_rst_stream(connection->session_, NGHTTP2_FLAG_NONE, id, code);
  connection->wake_writer();
}

void Http2Stream::stop_reading() {
  if (closed || connection == nullptr || in_ended) return;
  if (out_done) {
    reset(NGHTTP2_NO_ERROR);
  } else {
    stop_when_done = true;
  }
}

namespace {

class Http2Body : public TrailedBody {
 public:
  explicit Http2Body(std::shared_ptr<Http2Stream> stream) : stream_(std::move(stream)) {}
  Task<Result<Bytes>> read_some() override { return stream_->read_some(); }
  void widen(int32_t bytes) { stream_->widen_window(bytes); }
  void ping_every(std::chrono::milliseconds interval) {
    if (stream_->connection != nullptr) stream_->connection->ping_every(interval);
  }
  std::shared_ptr<const std::atomic<int64_t>> round_trip_us() const {
    return stream_->connection == nullptr ? nullptr : stream_->connection->round_trip_us();
  }
  Headers trailers() const override { return stream_->in_trailers; }

 private:
  std::shared_ptr<Http2Stream> stream_;
};

class Http2Writer : public BodyWriter {
 public:
  explicit Http2Writer(std::shared_ptr<Http2Stream> stream) : stream_(std::move(stream)) {}
  ~Http2Writer() override {
    if (!finished_) stream_->reset(NGHTTP2_INTERNAL_ERROR);
  }
  Task<Result<void>> write(BytesList pieces) override { return stream_->write(std::move(pieces)); }
  Task<Result<void>> finish(Headers trailers) override {
    finished_ = true;
    stream_->finish(std::move(trailers));
    co_return Result<void>{};
  }

 private:
  std::shared_ptr<Http2Stream> stream_;
  bool finished_ = false;
};

class Http2Tunnel : public PieceStream {
 public:
  explicit Http2Tunnel(std::shared_ptr<Http2Stream> stream) : stream_(std::move(stream)) {}
  ~Http2Tunnel() override { abort(); }

  Task<Result<size_t>> read_some(std::span<char> into) override {
    if (left_.empty()) {
      RD_CO_TRY(left_, co_await stream_->read_some());
      if (left_.empty()) co_return size_t{0};
    }
    size_t n = std::min(into.size(), left_.size());
    std::memcpy(into.data(), left_.data(), n);
    left_ = left_.slice(n);
    co_return n;
  }
  Task<Result<BytesList>> read_pieces(size_t) override {
    if (left_.empty()) co_return co_await stream_->read_pieces();
    BytesList pieces;
    pieces.push_back(std::exchange(left_, {}));
    co_return pieces;
  }
  Task<Result<void>> write(BytesList pieces) override {
    for (Bytes& piece : pieces) piece = piece.kept();
    return stream_->write(std::move(pieces));
  }
  Task<Result<void>> shutdown_write() override {
    stream_->finish({});
    co_return Result<void>{};
  }
  void abort() noexcept override {
    if (!stream_->out_ended || !stream_->in_ended) stream_->reset(NGHTTP2_CANCEL);
  }

 private:
  std::shared_ptr<Http2Stream> stream_;
  Bytes left_;
};

}  // namespace

void widen_http2_window(BodyReader& body, int32_t bytes) {
  if (auto* http2 = dynamic_cast<Http2Body*>(&body)) http2->widen(bytes);
}

void ping_http2_every(BodyReader& response_body, std::chrono::milliseconds interval) {
  if (auto* http2 = dynamic_cast<Http2Body*>(&response_body)) http2->ping_every(interval);
}
std::shared_ptr<const std::atomic<int64_t>> http2_round_trip_us(BodyReader& body) {
  auto* http2 = dynamic_cast<Http2Body*>(&body);
  return http2 == nullptr ? nullptr : http2->round_trip_us();
}

std::unique_ptr<BodyReader> make_http2_body(std::shared_ptr<Http2Stream> stream) {
  return std::make_unique<Http2Body>(std::move(stream));
}
std::unique_ptr<BodyWriter> make_http2_writer(std::shared_ptr<Http2Stream> stream) {
  return std::make_unique<Http2Writer>(std::move(stream));
}
StreamPtr make_http2_tunnel(std::shared_ptr<Http2Stream> stream) {
  return std::make_unique<Http2Tunnel>(std::move(stream));
}

}  // namespace redoubt::net
