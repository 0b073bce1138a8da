// One HTTP/2 connection (RFC 9113) over a Stream, either side, on nghttp2's framing. For net's own use and
// tunnels'.
//
// run() reads until the connection ends; a writer task of the same Scope gathers what all streams have to send into
// large writes. Belongs to one loop. Streams are shared: a handler may outlive the connection and then meets errors
// only.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/event.h"
#include "net/http.h"
#include "net/stream.h"

struct nghttp2_session;

namespace redoubt::net {

class Http2Connection;

// A queue of pieces that costs nothing while it is empty.
class BytesQueue {
 public:
  bool empty() const { return at_ == pieces_.size(); }
  Bytes& front() { return pieces_[at_]; }
  void push_back(Bytes piece) { pieces_.push_back(std::move(piece)); }
  // Takes over a whole list.
  void append(BytesList pieces) {
    if (empty()) {
      pieces_ = std::move(pieces);
      at_ = 0;
    } else {
      for (Bytes& piece : pieces) pieces_.push_back(std::move(piece));
    }
  }
  void pop_front() {
    pieces_[at_++] = {};
    if (at_ == pieces_.size()) {
      pieces_.clear();
      at_ = 0;
    } else if (at_ >= 64 && at_ * 2 >= pieces_.size()) {
      pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<ptrdiff_t>(at_));
      at_ = 0;
    }
  }
  // Everything, leaving it empty.
  BytesList take() {
    pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<ptrdiff_t>(at_));
    at_ = 0;
    return std::exchange(pieces_, {});
  }
  void clear() {
    pieces_ = {};
    at_ = 0;
  }
  auto begin() const { return pieces_.begin() + static_cast<ptrdiff_t>(at_); }
  auto end() const { return pieces_.end(); }

 private:
  BytesList pieces_;
  size_t at_ = 0;
};

// One request and its response. Bytes in are credited to the peer when read.
class Http2Stream : public std::enable_shared_from_this<Http2Stream> {
 public:
  explicit Http2Stream(Executor executor) : changed(executor) {}

  Task<Result<Bytes>> read_some();
  // All pieces that are there; empty at the end.
  Task<Result<BytesList>> read_pieces();
  // Queues pieces; waits while more than the bound is queued.
  Task<Result<void>> write(BytesList pieces);
  void finish(Headers trailers);
  // Queues the whole of what is left to send, however much, and ends it.
  void put_last(BytesList pieces);
  void widen_window(int32_t bytes);
  void reset(uint32_t code);
  // Nothing more of the request is wanted: once the response has gone out, the peer is told to stop sending.
  void stop_reading();
  Status broken() const;

  Http2Connection* connection = nullptr;  // null once the connection or the stream is gone
  int32_t id = 0;
  Headers in_headers;  // with pseudo-headers
  Headers in_trailers;
  size_t in_header_bytes = 0;
  bool headers_done = false;
  bool in_ended = false;
  bool closed = false;
  uint32_t error_code = 0;
  BytesQueue in;
  BytesQueue out;
  size_t out_bytes = 0;
  bool out_ended = false;
  bool out_submitted = false;  // a data provider is attached
  bool out_deferred = false;
  bool out_done = false;        // the last of it was handed to the transport
  bool stop_when_done = false;  // then reset the peer's direction
  // A tunnel's window: its size, and what was read of it since when.
  int32_t window = 0;
  size_t window_read = 0;
  std::chrono::steady_clock::time_point window_since{};
  Headers out_trailers;
  Event changed;
  std::unique_ptr<Scope> handler;  // server: the request's task

 private:
  Task<Result<void>> wait_readable(bool& ended);
  void was_read(size_t bytes);
};

class Http2Connection : public std::enable_shared_from_this<Http2Connection> {
 public:
  struct Options {
    bool server = true;
    size_t max_streams = 250;
    size_t max_header_bytes = 64 * 1024;
    std::chrono::milliseconds idle_timeout{0};   // server: no stream for so long ends it; 0: never
    std::chrono::milliseconds ping_interval{0};  // without a frame for so long, and with a stream open: a ping; 0: off
    int32_t stream_window = 0;                   // 0: the defaults of limits.h
    int32_t connection_window = 0;
    // Server: called when a request's headers are complete.
    std::function<void(std::shared_ptr<Http2Stream>)> on_request;
    // The connection carries tunnels: streams' windows start small and grow with the path's bandwidth-delay product,
    // the connection's own holds none up, pings go out in every interval, resets are not counted against the peer
    // (net/limits.h).
    bool tunnel = false;
    // Without a byte from the peer for so long the connection is dead; 0: see ping_interval.
    std::chrono::milliseconds silence_timeout{0};
    // A GOAWAY came, a ping came back, or the connection ended.
    std::function<void()> on_change;
  };
  Http2Connection(StreamPtr transport, Options options, Executor executor);
  ~Http2Connection();

  // Until the connection ends. `already_read` is what came before HTTP/2 was recognised.
  Task<void> run(std::string already_read = {});
  // Client: opens a stream. `has_body`: bytes follow by write() and finish().
  Result<std::shared_ptr<Http2Stream>> request(const Headers& headers, bool has_body);
  // Server: sends headers; with a body if `has_body`.
  Result<void> respond(Http2Stream& stream, int status, const Headers& headers, bool has_body);
  void go_away();
  // go_away(), and ends once no stream is left.
  void drain();
  void abort();
  // Silence is asked about after another time from now on; does nothing where pings are off.
  void ping_every(std::chrono::milliseconds interval);
  bool usable() const { return !ended_ && !going_away_; }
  size_t streams() const { return streams_.size(); }
  // The shortest of all pings; 0: none came back yet.
  std::chrono::microseconds round_trip() const { return std::chrono::microseconds(*round_trip_us_); }
  // The same, for other threads and beyond the connection's end.
  std::shared_ptr<const std::atomic<int64_t>> round_trip_us() const { return round_trip_us_; }

 private:
  friend class Http2Stream;
  friend struct Http2Callbacks;
  Task<void> write_loop();
  Task<void> ping_loop();
  Task<void> silence_loop();
  void send_ping();
  void changed() {
    if (options_.on_change) options_.on_change();
  }
  void wake_writer() { writable_.notify(); }
  void end_all();
  void count_reset();

  StreamPtr transport_;
  Options options_;
  Executor executor_;
  nghttp2_session* session_ = nullptr;
  std::map<int32_t, std::shared_ptr<Http2Stream>> streams_;
  Event writable_;
  Event pings_changed_;
  BytesList turn_;  // what the writer is collecting
  size_t turn_bytes_ = 0;
  // Frames' own bytes and small pieces, gathered in a buffer of fixed size: [small_from_, small_size_) is not yet part
  // of the turn.
  std::unique_ptr<char[]> small_;
  size_t small_from_ = 0;
  size_t small_size_ = 0;
  bool ended_ = false;
  bool going_away_ = false;
  bool draining_ = false;
  double reset_tokens_;
  std::chrono::steady_clock::time_point reset_time_{};
  uint64_t received_ = 0;
  std::shared_ptr<std::atomic<int64_t>> round_trip_us_ = std::make_shared<std::atomic<int64_t>>(0);
  std::chrono::steady_clock::time_point ping_sent_{};
  size_t grown_ = 0;  // what windows grew to above their first size, all streams together
};

// Lets the peer send so many bytes on the stream, and on its connection, before they are read; does nothing for a body
// that is not HTTP/2's.
void widen_http2_window(BodyReader& body, int32_t bytes);
// Of the connection that the body comes by (Http2Connection::round_trip_us); null for one that is not HTTP/2's.
std::shared_ptr<const std::atomic<int64_t>> http2_round_trip_us(BodyReader& body);

// Http2Connection::ping_every of the connection that a response comes by; does nothing for other bodies.
void ping_http2_every(BodyReader& response_body, std::chrono::milliseconds interval);

// The stream's body as a BodyReader, and the stream as a Stream once it is a tunnel.
std::unique_ptr<BodyReader> make_http2_body(std::shared_ptr<Http2Stream> stream);
std::unique_ptr<BodyWriter> make_http2_writer(std::shared_ptr<Http2Stream> stream);
StreamPtr make_http2_tunnel(std::shared_ptr<Http2Stream> stream);

}  // namespace redoubt::net
