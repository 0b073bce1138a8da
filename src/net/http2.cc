#include "net/http2.h"

#include <nghttp2/nghttp2.h>

#include "base/log.h"
#include "net/limits.h"
#include "net/unsent.h"

namespace redoubt::net {

// nghttp2 calls back into these with the connection.
struct Http2Callbacks {
  static Http2Connection& self(void* user) { return *static_cast<Http2Connection*>(user); }

  static std::shared_ptr<Http2Stream> find(Http2Connection& c, int32_t id) {
    auto it = c.streams_.find(id);
    return it == c.streams_.end() ? nullptr : it->second;
  }

  static void flush_small(Http2Connection& c) {
    if (c.small_size_ == c.small_from_) return;
    c.turn_.push_back(Bytes::of_static({c.small_.get() + c.small_from_, c.small_size_ - c.small_from_}));
    c.small_from_ = c.small_size_;
  }

  static void add_small(Http2Connection& c, const char* data, size_t size) {
    if (c.small_size_ + size > kHttp2SmallBytes) {
      flush_small(c);
      c.turn_.push_back(Bytes::copy({data, size}));
      return;
    }
    std::memcpy(c.small_.get() + c.small_size_, data, size);
    c.small_size_ += size;
  }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Connection& c = self(user);
    if (!c.options_.server || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    auto stream = std::make_shared<Http2Stream>(c.executor_);
    stream->connection = &c;
    stream->id = frame->hd.stream_id;
    stream->in_headers.reserve(c.options_.tunnel ? 4 : 16);
    c.streams_[stream->id] = std::move(stream);
    return 0;
  }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                       const uint8_t* value, size_t value_size, uint8_t, void* user) {
    Http2Connection& c = self(user);
    auto stream = find(c, frame->hd.stream_id);
    if (!stream) return 0;
    stream->in_header_bytes += name_size + value_size + 32;
    if (stream->in_header_bytes > c.options_.max_header_bytes) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    Headers& into = stream->headers_done ? stream->in_trailers : stream->in_headers;
    into.add(std::string(reinterpret_cast<const char*>(name), name_size),
             std::string(reinterpret_cast<const char*>(value), value_size));
    return 0;
  }

  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Connection& c = self(user);
    if (frame->hd.type == NGHTTP2_GOAWAY) {
      c.going_away_ = true;
      c.changed();
    }
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
      auto took =
          std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - c.ping_sent_);
      took = std::max(took, std::chrono::microseconds(1));
      if (c.round_trip().count() == 0 || took < c.round_trip()) *c.round_trip_us_ = took.count();
      c.changed();
    }
    auto stream = find(c, frame->hd.stream_id);
    if (!stream) return 0;
    if (frame->hd.type == NGHTTP2_RST_STREAM && !stream->out_done) c.count_reset();
    bool first_headers = false;
    if (frame->hd.type == NGHTTP2_HEADERS && !stream->headers_done) {
      // A client passes over 1xx responses.
      auto status = stream->in_headers.get(":status");
      if (!c.options_.server && status && status->starts_with("1") && *status != "101") {
        stream->in_headers = {};
        return 0;
      }
      stream->headers_done = true;
      first_headers = true;
    }
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
        (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)) {
      stream->in_ended = true;
    }
    if (first_headers && c.options_.server) c.options_.on_request(stream);
    stream->changed.notify();
    return 0;
  }

  // A reset drops frames of its stream that still wait: only when the last has gone is the response done.
  static int on_frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    Http2Connection& c = self(user);
    auto stream = find(c, frame->hd.stream_id);
    if (!stream) return 0;
    stream->out_done = true;
    if (stream->stop_when_done && !stream->in_ended)
      nghttp2_submit_rst_stream(c.session_, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
    return 0;
  }

  static int on_data(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size, void* user) {
    Http2Connection& c = self(user);
    auto stream = find(c, id);
    if (!stream || c.options_.tunnel) nghttp2_session_consume_connection(c.session_, size);
    if (!stream) return 0;
    stream->in.push_back(Bytes::copy({reinterpret_cast<const char*>(data), size}));
    return 0;
  }

  static int on_close(nghttp2_session*, int32_t id, uint32_t code, void* user) {
    Http2Connection& c = self(user);
    auto it = c.streams_.find(id);
    if (it == c.streams_.end()) return 0;
    std::shared_ptr<Http2Stream> stream = it->second;
    c.streams_.erase(it);
    close(c, *stream, code);
    // Resets that the peer provoked by breaking the rules count as its own.
    if (code == NGHTTP2_PROTOCOL_ERROR || code == NGHTTP2_FLOW_CONTROL_ERROR || code == NGHTTP2_STREAM_CLOSED ||
        code == NGHTTP2_FRAME_SIZE_ERROR)
      c.count_reset();
    return 0;
  }

  static void close(Http2Connection& c, Http2Stream& stream, uint32_t code) {
    // The stream is off the connection's books: what is still unread is credited now and, after a clean end, stays
    // readable.
    size_t unread = 0;
    for (const Bytes& piece : stream.in) unread += piece.size();
    if (stream.window > kTunnelStreamWindow) c.grown_ -= static_cast<size_t>(stream.window - kTunnelStreamWindow);
    if (unread > 0 && !c.ended_ && !c.options_.tunnel) nghttp2_session_consume_connection(c.session_, unread);
    if (code != NGHTTP2_NO_ERROR) stream.in.clear();
    stream.closed = true;
    stream.error_code = code;
    stream.connection = nullptr;
    stream.out.clear();
    stream.out_bytes = 0;
    stream.changed.notify();
    if (stream.handler && (code != NGHTTP2_NO_ERROR || !stream.out_done || c.ended_)) stream.handler->cancel();
  }

  static ssize_t on_read_body(nghttp2_session* session, int32_t id, uint8_t*, size_t length, uint32_t* flags,
                              nghttp2_data_source* source, void*) {
    auto& stream = *static_cast<Http2Stream*>(source->ptr);
    if (stream.out.empty() && !stream.out_ended) {
      stream.out_deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    size_t n = std::min(length, stream.out_bytes);
    if (stream.out_ended && n == stream.out_bytes) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (stream.out_trailers.size() > 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        std::vector<nghttp2_nv> fields = to_nv(stream.out_trailers);
        nghttp2_submit_trailer(session, id, fields.data(), fields.size());
      }
    }
    return static_cast<ssize_t>(n);
  }

  static int on_send_body(nghttp2_session*, nghttp2_frame* frame, const uint8_t* head, size_t length,
                          nghttp2_data_source* source, void* user) {
    Http2Connection& c = self(user);
    auto& stream = *static_cast<Http2Stream*>(source->ptr);
    add_small(c, reinterpret_cast<const char*>(head), 9);
    c.turn_bytes_ += length + 9;
    while (length > 0) {
      Bytes& front = stream.out.front();
      size_t n = std::min(length, front.size());
      if (n < kHttp2CopyBytes) {
        add_small(c, front.data(), n);
      } else {
        flush_small(c);
        c.turn_.push_back(front.slice(0, n));
      }
      if (n == front.size()) {
        stream.out.pop_front();
      } else {
        front = front.slice(n);
      }
      stream.out_bytes -= n;
      length -= n;
    }
    if (stream.out_bytes < kBodyQueueBytes) stream.changed.notify();
    return 0;
  }

  static std::vector<nghttp2_nv> to_nv(const Headers& headers) {
    std::vector<nghttp2_nv> out;
    out.reserve(headers.size() + 1);
    for (const auto& [name, value] : headers) {
      if (name == "connection" || name == "keep-alive" || name == "transfer-encoding" || name == "upgrade") continue;
      out.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                     reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
                     NGHTTP2_NV_FLAG_NONE});
    }
    return out;
  }

  static nghttp2_session_callbacks* callbacks() {
    static nghttp2_session_callbacks* all = [] {
      nghttp2_session_callbacks* c = nullptr;
      nghttp2_session_callbacks_new(&c);
      nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
      nghttp2_session_callbacks_set_on_header_callback(c, on_header);
      nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
      nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_sent);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
      nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
      nghttp2_session_callbacks_set_send_data_callback(c, on_send_body);
      return c;
    }();
    return all;
  }
};

Http2Connection::Http2Connection(StreamPtr transport, Options options, Executor executor)
    : transport_(std::move(transport)),
      options_(std::move(options)),
      executor_(executor),
      writable_(executor),
      pings_changed_(executor),
      reset_tokens_(kResetBurst) {
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_max_outbound_ack(option, 1000);  // bounds what a ping or settings flood can queue
  // nghttp2's own answer to rapid resets would end a tunnel after a thousand dials that were given up.
  if (options_.tunnel) nghttp2_option_set_stream_reset_rate_limit(option, 1'000'000'000, 1'000'000'000);
  if (options_.server) {
    nghttp2_session_server_new2(&session_, Http2Callbacks::callbacks(), this, option);
  } else {
    nghttp2_session_client_new2(&session_, Http2Callbacks::callbacks(), this, option);
  }
  nghttp2_option_del(option);
  if (options_.tunnel) {
    limit_unsent(*transport_, kTunnelUnsentBytes);
    options_.stream_window = kTunnelStreamWindow;
    options_.connection_window = kTunnelConnectionWindow;
  }
  std::vector<nghttp2_settings_entry> settings = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
       static_cast<uint32_t>(options_.stream_window > 0 ? options_.stream_window : kHttp2StreamWindow)}};
  if (options_.server) {
    settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, static_cast<uint32_t>(options_.max_streams)});
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1});
    settings.push_back({NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(options_.max_header_bytes)});
  } else {
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  }
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(
      session_, NGHTTP2_FLAG_NONE, 0,
      options_.connection_window > 0 ? options_.connection_window : kHttp2ConnectionWindow);
}

Http2Connection::~Http2Connection() {
  end_all();
  nghttp2_session_del(session_);
}

void Http2Connection::count_reset() {
  if (!options_.server || options_.tunnel) return;
  auto now = std::chrono::steady_clock::now();
  std::chrono::duration<double> passed = now - std::exchange(reset_time_, now);
  reset_tokens_ = std::min(kResetBurst, reset_tokens_ + passed.count() * kResetsPerSecond) - 1;
  if (reset_tokens_ >= 0) return;
  nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
  wake_writer();
}

void Http2Connection::end_all() {
  ended_ = true;
  auto streams = std::exchange(streams_, {});
  for (auto& [id, stream] : streams) {
    stream->connection = nullptr;
    Http2Callbacks::close(*this, *stream, NGHTTP2_CONNECT_ERROR);
  }
}

Task<void> Http2Connection::run(std::string already_read) {
  auto self = shared_from_this();
  Scope scope(executor_, "http2");
  scope.spawn(write_loop());
  if (options_.ping_interval.count() > 0) scope.spawn(ping_loop());
  if (options_.silence_timeout.count() > 0) scope.spawn(silence_loop());
  wake_writer();
  std::exception_ptr cancelled;
  try {
    auto buffer = std::make_unique_for_overwrite<char[]>(kReadBufferBytes);
    std::string_view bytes = already_read;
    while (!ended_) {
      if (bytes.empty()) {
        auto got = co_await transport_->read_some({buffer.get(), kReadBufferBytes});
        if (!got || *got == 0) break;
        bytes = {buffer.get(), *got};
      }
      ++received_;
      ssize_t used = nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
      wake_writer();
      bytes = {};
      if (used < 0) {
        log_debug("http2 connection error", {{"error", nghttp2_strerror(static_cast<int>(used))}});
        break;
      }
    }
  } catch (...) {
    cancelled = std::current_exception();
  }
  end_all();
  transport_->abort();
  writable_.notify();
  changed();
  co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
  co_await scope.join();
  if (cancelled) std::rethrow_exception(cancelled);
}

namespace {

// A few buffers a thread for connections that are writing, so that idle ones need none.
constexpr size_t kSpareBuffers = 8;
thread_local std::vector<std::unique_ptr<char[]>> spare_buffers;

std::unique_ptr<char[]> take_buffer() {
  if (spare_buffers.empty()) return std::make_unique_for_overwrite<char[]>(kHttp2SmallBytes);
  auto out = std::move(spare_buffers.back());
  spare_buffers.pop_back();
  return out;
}

void give_buffer(std::unique_ptr<char[]> buffer) {
  if (buffer && spare_buffers.size() < kSpareBuffers) spare_buffers.push_back(std::move(buffer));
}

}  // namespace

Task<void> Http2Connection::write_loop() {
  auto self = shared_from_this();
  while (!ended_) {
    turn_.clear();
    turn_bytes_ = 0;
    small_from_ = small_size_ = 0;
    if (!small_) small_ = take_buffer();
    while (turn_bytes_ < kHttp2TurnBytes && small_size_ < kHttp2SmallBytes - kHttp2CopyBytes) {
      const uint8_t* data = nullptr;
      ssize_t n = nghttp2_session_mem_send(session_, &data);
      if (n < 0) {
        abort();
        co_return;
      }
      // Body frames went through on_send_body; what is left comes as plain bytes, or nothing when there is nothing to
      // do.
      if (n == 0) break;
      Http2Callbacks::add_small(*this, reinterpret_cast<const char*>(data), static_cast<size_t>(n));
      turn_bytes_ += static_cast<size_t>(n);
    }
    Http2Callbacks::flush_small(*this);
    if (!turn_.empty()) {
      auto sent = co_await transport_->write(std::move(turn_));
      turn_ = {};
      if (!sent) {
        abort();
        co_return;
      }
      continue;
    }
    give_buffer(std::move(small_));
    if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) {
      abort();
      co_return;
    }
    if (draining_ && streams_.empty()) {
      (void)co_await transport_->shutdown_write();
      abort();
      co_return;
    }
    if (options_.idle_timeout.count() > 0 && streams_.empty()) {
      if (!co_await writable_.wait_for(options_.idle_timeout) && streams_.empty()) {
        nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
      }
    } else {
      co_await writable_.wait();
    }
  }
}

// Silence for an interval is asked about; no answer within the timeout, and the peer is gone. A tunnel's pings go out
// in any case: they also tell the peer that we are there, and how long the way is.
Task<void> Http2Connection::ping_loop() {
  auto self = shared_from_this();
  uint64_t seen = received_;
  if (options_.tunnel) send_ping();
  while (!ended_) {
    if (co_await pings_changed_.wait_for(options_.ping_interval)) continue;
    if (received_ != seen || (streams_.empty() && !options_.tunnel)) {
      seen = received_;
      // Once to others, which learns how long the way is.
      if (options_.tunnel || (!streams_.empty() && round_trip().count() == 0)) send_ping();
      continue;
    }
    send_ping();
    co_await sleep_for(std::min<std::chrono::milliseconds>(options_.ping_interval, kPingTimeout));
    if (received_ == seen) {
      log_debug("http2 peer does not answer a ping");
      abort();
      co_return;
    }
    seen = received_;
  }
}

void Http2Connection::ping_every(std::chrono::milliseconds interval) {
  if (options_.ping_interval.count() == 0) return;
  options_.ping_interval = interval;
  pings_changed_.notify();
}

void Http2Connection::send_ping() {
  ping_sent_ = std::chrono::steady_clock::now();
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
  wake_writer();
}

Task<void> Http2Connection::silence_loop() {
  auto self = shared_from_this();
  uint64_t seen = received_;
  while (!ended_) {
    co_await sleep_for(options_.silence_timeout);
    if (std::exchange(seen, received_) == received_) {
      abort();
      co_return;
    }
  }
}

void Http2Connection::abort() {
  ended_ = true;
  transport_->abort();
  writable_.notify();
  changed();
}

void Http2Connection::go_away() {
  going_away_ = true;
  nghttp2_submit_shutdown_notice(session_);
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_NO_ERROR, nullptr, 0);
  wake_writer();
}

void Http2Connection::drain() {
  if (ended_ || draining_) return;
  draining_ = true;
  go_away();
}

Result<std::shared_ptr<Http2Stream>> Http2Connection::request(const Headers& headers, bool has_body) {
  if (!usable()) return service_unavailable("http2: the connection is closing");
  auto stream = std::make_shared<Http2Stream>(executor_);
  nghttp2_data_provider provider;
  provider.source.ptr = stream.get();
  provider.read_callback = Http2Callbacks::on_read_body;
  std::vector<nghttp2_nv> fields = Http2Callbacks::to_nv(headers);
  int32_t id =
      nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(), has_body ? &provider : nullptr, nullptr);
  if (id < 0) return service_unavailable(fmt::format("http2: {}", nghttp2_strerror(id)));
  stream->id = id;
  stream->connection = this;
  stream->out_submitted = has_body;
  stream->out_ended = stream->out_done = !has_body;
  streams_[id] = stream;
  wake_writer();
  return stream;
}

Result<void> Http2Connection::respond(Http2Stream& stream, int status, const Headers& headers, bool has_body) {
  std::string code = std::to_string(status);
  std::vector<nghttp2_nv> fields = Http2Callbacks::to_nv(headers);
  static const std::string kStatus = ":status";
  fields.insert(fields.begin(),
                {reinterpret_cast<uint8_t*>(const_cast<char*>(kStatus.data())), reinterpret_cast<uint8_t*>(code.data()),
                 kStatus.size(), code.size(), NGHTTP2_NV_FLAG_NO_COPY_NAME});
  nghttp2_data_provider provider;
  provider.source.ptr = &stream;
  provider.read_callback = Http2Callbacks::on_read_body;
  stream.out_submitted = has_body;
  int result =
      nghttp2_submit_response(session_, stream.id, fields.data(), fields.size(), has_body ? &provider : nullptr);
  if (result != 0) return service_unavailable(fmt::format("http2: {}", nghttp2_strerror(result)));
  wake_writer();
  return {};
}

}  // namespace redoubt::net
