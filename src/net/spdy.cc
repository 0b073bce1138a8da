#include "net/spdy.h"

#include <boost/asio/this_coro.hpp>
#include <deque>
#include <map>

#include "base/event.h"
#include "net/limits.h"
#include "net/spdy_headers.h"

namespace redoubt::net {

namespace {

constexpr uint16_t kVersion = 3;
constexpr uint8_t kFlagFin = 1;
constexpr uint8_t kFlagUnidirectional = 2;
constexpr size_t kFrameHead = 8;
constexpr uint32_t kMaxStreamId = 0x7fffffff;
constexpr std::chrono::seconds kReplyTimeout{30};
constexpr std::chrono::seconds kCloseTimeout{10};

enum FrameType : uint16_t {
  kSynStream = 1,
  kSynReply = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kHeaders = 8,
  kWindowUpdate = 9,
};

enum ResetStatus : uint32_t { kProtocolError = 1, kInvalidStream = 2, kRefusedStream = 3, kCancel = 5 };

void put_u32(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

uint32_t get_u32(std::string_view from, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(from[at + i]);
  return value;
}

std::string control_frame(FrameType type, uint8_t flags, std::string_view payload) {
  std::string out;
  put_u32(out, 0x80000000u | uint32_t{kVersion} << 16 | type);
  put_u32(out, uint32_t{flags} << 24 | static_cast<uint32_t>(payload.size()));
  out += payload;
  return out;
}

std::string data_head(uint32_t id, uint8_t flags, size_t size) {
  std::string out;
  put_u32(out, id);
  put_u32(out, uint32_t{flags} << 24 | static_cast<uint32_t>(size));
  return out;
}

// What both the connection and the holder of a stream know of it.
struct StreamState {
  StreamState(Executor executor, uint32_t i) : changed(executor), id(i) {}
  Event changed;
  const uint32_t id;
  std::deque<Bytes> in;
  size_t in_bytes = 0;
  bool in_ended = false;
  bool out_ended = false;
  bool replied = false;
  std::optional<Status> broken;  // why, when it did not end by itself
};

class Connection;

class SpdyStream : public Stream {
 public:
  SpdyStream(std::shared_ptr<Connection> connection, std::shared_ptr<StreamState> state)
      : connection_(std::move(connection)), state_(std::move(state)) {}
  ~SpdyStream() override;
  Task<Result<size_t>> read_some(std::span<char> into) override;
  Task<Result<void>> write(BytesList pieces) override;
  Task<Result<void>> shutdown_write() override;
  void abort() noexcept override;

 private:
  std::shared_ptr<Connection> connection_;
  std::shared_ptr<StreamState> state_;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(StreamPtr transport, bool server, Executor executor)
      : transport_(std::move(transport)),
        server_(server),
        executor_(executor),
        scope_(executor, "spdy"),
        wake_writer_(executor),
        written_(executor),
        accepted_(executor),
        next_id_(server ? 2 : 1) {}

  void start() {
    scope_.spawn(read_loop(shared_from_this()));
    scope_.spawn(write_loop(shared_from_this()));
  }

  Task<Result<std::optional<SpdyConnection::NewStream>>> accept() {
    auto self = shared_from_this();
    while (queue_.empty() && !ended_) co_await accepted_.wait();
    if (queue_.empty()) {
      if (broken_) co_return Error(*broken_);
      co_return std::optional<SpdyConnection::NewStream>();
    }
    std::optional<SpdyConnection::NewStream> out(std::move(queue_.front()));
    queue_.pop_front();
    co_return out;
  }

  Task<Result<StreamPtr>> open(Headers headers) {
    auto self = shared_from_this();
    if (ended_ || going_away_) co_return service_unavailable("spdy: the connection is closing");
    if (next_id_ > kMaxStreamId) co_return service_unavailable("spdy: the connection has no stream ids left");
    auto state = std::make_shared<StreamState>(executor_, next_id_);
    next_id_ += 2;
    streams_[state->id] = state;
    std::string payload;
    put_u32(payload, state->id);
    put_u32(payload, 0);
    payload.append(2, '\0');  // priority, slot
    payload += writer_.write(headers);
    enqueue(control_frame(kSynStream, 0, payload));
    StreamPtr stream = std::make_unique<SpdyStream>(self, state);
    while (!state->replied && !state->broken && !state->in_ended) {
      if (!co_await state->changed.wait_for(kReplyTimeout) && !state->replied)
        co_return timeout("spdy: the peer did not reply to a new stream");
    }
    if (state->broken) co_return Error(*state->broken);
    if (!state->replied) co_return service_unavailable("spdy: the peer reset the new stream");
    co_return stream;
  }

  Task<void> close() {
    auto self = shared_from_this();
    if (!ended_) {
      std::string payload;
      put_u32(payload, last_peer_id_);
      put_u32(payload, 0);
      enqueue(control_frame(kGoAway, 0, payload));
      going_away_ = true;
      while (!ended_ && (out_bytes_ > 0 || writing_)) {
        if (!co_await written_.wait_for(kCloseTimeout)) break;
      }
      if (!ended_) (void)co_await transport_->shutdown_write();
    }
    abort();
    co_await scope_.join();
  }

  void abort() noexcept {
    transport_->abort();
    end_all(std::nullopt);
    scope_.cancel();
  }

  // ---- for streams ----

  Task<Result<void>> write(std::shared_ptr<StreamState> state, BytesList pieces) {
    auto self = shared_from_this();
    for (Bytes& piece : pieces) {
      piece = piece.kept();
      for (size_t at = 0; at < piece.size();) {
        while (out_bytes_ >= kSpdyOutBytes && !ended_ && !state->broken && !state->out_ended) co_await written_.wait();
        if (state->broken) co_return Error(*state->broken);
        if (ended_ || state->out_ended) co_return service_unavailable("spdy: the stream has ended");
        size_t size = std::min(piece.size() - at, kSpdyDataFrameBytes);
        enqueue(data_head(state->id, 0, size));
        out_bytes_ += size;
        out_.push_back(piece.slice(at, size));
        at += size;
      }
    }
    co_return Result<void>{};
  }

  void finish(StreamState& state) {
    if (state.out_ended || ended_) return;
    state.out_ended = true;
    enqueue(data_head(state.id, kFlagFin, 0));
    forget_if_done(state);
  }

  void reset(StreamState& state, ResetStatus status) {
    if (streams_.erase(state.id) > 0 && !ended_) owe_reset(state.id, status);
    state.in_ended = state.out_ended = true;
    state.changed.notify();
    written_.notify();
    reading_.notify();
  }

  void took(StreamState&) { reading_.notify(); }

 private:
  void enqueue(std::string frame) {
    if (ended_) return;
    out_bytes_ += frame.size();
    out_.push_back(Bytes::take(std::move(frame)));
    wake_writer_.notify();
  }

  // Frames that a peer makes us send: bounded, for one that asks and never reads.
  void owe(std::string frame) {
    if (++owed_ > kSpdyMaxOwedFrames) {
      end_all(Status(503, "ServiceUnavailable", "spdy: the peer floods the connection"));
      transport_->abort();
      return;
    }
    enqueue(std::move(frame));
  }
  void owe_reset(uint32_t id, ResetStatus status) {
    std::string payload;
    put_u32(payload, id);
    put_u32(payload, status);
    owe(control_frame(kRstStream, 0, payload));
  }

  void forget_if_done(StreamState& state) {
    if (state.in_ended && state.out_ended) streams_.erase(state.id);
  }

  // Every stream ends: cleanly if the peer said goodbye, else with `why`.
  void end_all(std::optional<Status> why) {
    if (ended_) return;
    ended_ = true;
    broken_ = why;
    auto streams = std::move(streams_);
    streams_.clear();
    for (auto& [id, state] : streams) {
      if (!state->in_ended && why) state->broken = why;
      state->in_ended = state->out_ended = true;
      state->changed.notify();
    }
    auto queue = std::move(queue_);
    queue_.clear();
    out_.clear();
    out_bytes_ = 0;
    accepted_.notify();
    written_.notify();
    wake_writer_.notify();
    reading_.notify();
  }

  static Task<void> write_loop(std::shared_ptr<Connection> self) {
    while (!self->ended_) {
      if (self->out_.empty()) {
        co_await self->wake_writer_.wait();
        continue;
      }
      BytesList pieces = std::move(self->out_);
      self->out_.clear();
      size_t size = total_size(pieces);
      self->writing_ = true;
      auto written = co_await self->transport_->write(std::move(pieces));
      self->writing_ = false;
      if (self->ended_) co_return;
      self->out_bytes_ -= size;
      self->owed_ = 0;
      self->written_.notify();
      if (!written) {
        self->end_all(written.error());
        self->transport_->abort();
        co_return;
      }
    }
  }

  static Task<void> read_loop(std::shared_ptr<Connection> self) {
    auto outcome = co_await self->read_frames();
    if (!outcome) {
      self->end_all(outcome.error());
      self->transport_->abort();
    } else {
      self->end_all(std::nullopt);
      self->scope_.cancel();
    }
  }

  // False at a clean end before the first byte.
  Task<Result<bool>> need(size_t size) {
    while (buffer_.size() - at_ < size) {
      if (at_ > 0) buffer_.erase(0, std::exchange(at_, 0));
      size_t had = buffer_.size();
      buffer_.resize(had + kReadBufferBytes);
      auto got = co_await transport_->read_some({buffer_.data() + had, kReadBufferBytes});
      buffer_.resize(had + (got ? *got : 0));
      if (!got) co_return Error(std::move(got).error());
      if (*got == 0) {
        if (buffer_.empty()) co_return false;
        co_return service_unavailable("spdy: the connection ended inside a frame");
      }
    }
    co_return true;
  }

  Task<Result<void>> read_frames() {
    while (!ended_) {
      RD_CO_TRY(bool more, co_await need(kFrameHead));
      if (!more) {
        if (going_away_ || streams_.empty()) co_return Result<void>{};
        co_return service_unavailable("spdy: the connection was lost");
      }
      uint32_t first = get_u32(buffer_, at_);
      uint32_t second = get_u32(buffer_, at_ + 4);
      at_ += kFrameHead;
      uint8_t flags = static_cast<uint8_t>(second >> 24);
      size_t size = second & 0xffffff;
      if (!(first & 0x80000000u)) {
        RD_CO_TRYV(co_await read_data(first, flags, size));
        continue;
      }
      if ((first >> 16 & 0x7fff) != kVersion) co_return bad_request("spdy: a frame of another version");
      if (size > kSpdyControlFrameBytes) co_return bad_request("spdy: a control frame that is too large");
      if (size > 0) {
        RD_CO_TRY(bool here, co_await need(size));
        if (!here) co_return service_unavailable("spdy: the connection ended inside a frame");
      }
      RD_CO_TRYV(on_control(static_cast<uint16_t>(first & 0xffff), flags, std::string_view(buffer_).substr(at_, size)));
      at_ += size;
    }
    co_return Result<void>{};
  }

  Task<Result<void>> read_data(uint32_t id, uint8_t flags, size_t size) {
    while (size > 0) {
      RD_CO_TRY(bool here, co_await need(1));
      if (!here) co_return service_unavailable("spdy: the connection ended inside a frame");
      size_t n = std::min(size, buffer_.size() - at_);
      auto state = find(id);
      if (state && !state->in_ended) {
        state->in.push_back(Bytes::copy(std::string_view(buffer_).substr(at_, n)));
        state->in_bytes += n;
        state->changed.notify();
      }
      at_ += n;
      size -= n;
      while (state && state->in_bytes >= kSpdyStreamBufferBytes && !state->in_ended && !ended_)
        co_await reading_.wait();
    }
    if (flags & kFlagFin) {
      if (auto state = find(id)) end_in(*state);
    }
    co_return Result<void>{};
  }

  void end_in(StreamState& state) {
    state.in_ended = true;
    state.changed.notify();
    forget_if_done(state);
  }

  std::shared_ptr<StreamState> find(uint32_t id) {
    auto it = streams_.find(id);
    return it == streams_.end() ? nullptr : it->second;
  }

  Result<void> on_control(uint16_t type, uint8_t flags, std::string_view payload) {
    auto id_at = [&](size_t at) { return get_u32(payload, at) & kMaxStreamId; };
    switch (type) {
      case kSynStream:
        if (payload.size() < 10) break;
        return on_new_stream(id_at(0), flags, payload.substr(10));
      case kSynReply: {
        if (payload.size() < 4) break;
        RD_TRYV(reader_.read(payload.substr(4)));
        if (auto state = find(id_at(0))) {
          state->replied = true;
          state->changed.notify();
          if (flags & kFlagFin) end_in(*state);
        }
        return {};
      }
      case kHeaders: {
        if (payload.size() < 4) break;
        RD_TRYV(reader_.read(payload.substr(4)));
        auto state = find(id_at(0));
        if (state && flags & kFlagFin) end_in(*state);
        return {};
      }
      case kRstStream: {
        if (payload.size() != 8) break;
        auto state = find(id_at(0));
        if (!state) return {};
        uint32_t status = get_u32(payload, 4);
        streams_.erase(state->id);
        // Kubernetes' servers end all streams of a finished session by "cancel": not an error, and what came before
        // counts.
        if (status != kCancel && !state->in_ended)
          state->broken =
              Status(503, "ServiceUnavailable", fmt::format("spdy: the peer reset the stream ({})", status));
        state->in_ended = state->out_ended = true;
        state->changed.notify();
        written_.notify();
        return {};
      }
      case kPing:
        if (payload.size() != 4) break;
        // Ours have our parity: an answer. The peer's go back.
        if ((get_u32(payload, 0) & 1) == (server_ ? 1u : 0u)) owe(control_frame(kPing, 0, payload));
        return {};
      case kGoAway:
        going_away_ = true;
        return {};
      default:  // SETTINGS, WINDOW_UPDATE, and what we don't know
        return {};
    }
    return bad_request("spdy: a malformed control frame");
  }

  Result<void> on_new_stream(uint32_t id, uint8_t flags, std::string_view block) {
    RD_TRY(Headers headers, reader_.read(block));
    if (id == 0 || (id & 1) != (server_ ? 1u : 0u) || id <= last_peer_id_) {
      owe_reset(id, kProtocolError);
      return {};
    }
    last_peer_id_ = id;
    if (going_away_ || streams_.size() >= kSpdyMaxStreams) {
      owe_reset(id, kRefusedStream);
      return {};
    }
    auto state = std::make_shared<StreamState>(executor_, id);
    state->replied = true;
    state->in_ended = flags & kFlagFin;
    state->out_ended = flags & kFlagUnidirectional;
    streams_[id] = state;
    std::string reply;
    put_u32(reply, id);
    reply += writer_.write({});
    owe(control_frame(kSynReply, 0, reply));
    forget_if_done(*state);
    SpdyConnection::NewStream fresh;
    fresh.id = id;
    fresh.headers = std::move(headers);
    fresh.stream = std::make_unique<SpdyStream>(shared_from_this(), state);
    queue_.push_back(std::move(fresh));
    accepted_.notify();
    return {};
  }

  StreamPtr transport_;
  const bool server_;
  Executor executor_;
  Scope scope_;
  SpdyHeaderWriter writer_;
  SpdyHeaderReader reader_;
  std::map<uint32_t, std::shared_ptr<StreamState>> streams_;
  std::deque<SpdyConnection::NewStream> queue_;
  BytesList out_;
  size_t out_bytes_ = 0;  // queued and being written
  size_t owed_ = 0;
  bool writing_ = false;
  Event wake_writer_, written_, accepted_;
  Event reading_{Executor()};
  std::string buffer_;
  size_t at_ = 0;
  uint32_t next_id_;
  uint32_t last_peer_id_ = 0;
  bool going_away_ = false;
  bool ended_ = false;
  std::optional<Status> broken_;
};

SpdyStream::~SpdyStream() {
  abort();
}

Task<Result<size_t>> SpdyStream::read_some(std::span<char> into) {
  auto state = state_;
  auto connection = connection_;
  while (state->in.empty() && !state->in_ended && !state->broken) co_await state->changed.wait();
  if (state->in.empty()) {
    if (state->broken) co_return Error(*state->broken);
    co_return size_t{0};
  }
  Bytes& front = state->in.front();
  size_t n = std::min(into.size(), front.size());
  std::memcpy(into.data(), front.data(), n);
  state->in_bytes -= n;
  if (n == front.size()) {
    state->in.pop_front();
  } else {
    front = front.slice(n);
  }
  connection->took(*state);
  co_return n;
}

Task<Result<void>> SpdyStream::write(BytesList pieces) {
  return connection_->write(state_, std::move(pieces));
}

Task<Result<void>> SpdyStream::shutdown_write() {
  connection_->finish(*state_);
  co_return Result<void>{};
}

void SpdyStream::abort() noexcept {
  if (state_->in_ended && state_->out_ended) return;
  connection_->reset(*state_, kCancel);
}

class SpdyConnectionImpl : public SpdyConnection {
 public:
  explicit SpdyConnectionImpl(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
  ~SpdyConnectionImpl() override { connection_->abort(); }
  Task<Result<std::optional<NewStream>>> accept() override { return connection_->accept(); }
  Task<Result<StreamPtr>> open(Headers headers) override { return connection_->open(std::move(headers)); }
  Task<void> close() override { return connection_->close(); }
  void abort() noexcept override { connection_->abort(); }

 private:
  std::shared_ptr<Connection> connection_;
};

}  // namespace

std::unique_ptr<SpdyConnection> SpdyConnection::make(StreamPtr transport, bool server, Executor executor) {
  auto connection = std::make_shared<Connection>(std::move(transport), server, executor);
  connection->start();
  return std::make_unique<SpdyConnectionImpl>(std::move(connection));
}

}  // namespace redoubt::net
