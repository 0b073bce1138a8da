#include "net/stream.h"

#include <boost/asio/this_coro.hpp>
#include <deque>

#include "base/event.h"
#include "net/pieces.h"
#include "net/splice.h"

namespace redoubt::net {

namespace {

struct SpliceState {
  StreamPtr a, b;
  SpliceCounts counts;
  bool broken = false;
  std::chrono::seconds half_closed{0};
  Scope* deadline = nullptr;
};

void abort_both(SpliceState& state);

Task<void> limit_half_closed(std::shared_ptr<SpliceState> state) {
  co_await sleep_for(state->half_closed);
  abort_both(*state);
}

void abort_both(SpliceState& state) {
  state.broken = true;
  state.a->abort();
  state.b->abort();
}

// One direction, until its source ends; then the end is passed on.
Task<void> pump(std::shared_ptr<SpliceState> state, bool forward) {
  Stream& from = forward ? *state->a : *state->b;
  Stream& to = forward ? *state->b : *state->a;
  uint64_t& count = forward ? state->counts.a_to_b : state->counts.b_to_a;
  while (!state->broken) {
    auto got = co_await read_pieces(from, kSpliceBufferBytes);
    if (!got) {
      abort_both(*state);
      co_return;
    }
    if (got->empty()) {
      if (auto ended = co_await to.shutdown_write(); !ended) abort_both(*state);
      if (state->deadline != nullptr && state->deadline->running() == 0)
        state->deadline->spawn(limit_half_closed(state));
      co_return;
    }
    size_t size = total_size(*got);
    auto sent = co_await to.write(std::move(*got));
    if (!sent) {
      abort_both(*state);
      co_return;
    }
    count += size;
  }
}

// A bounded queue of bytes between two tasks of one loop.
struct Channel {
  Channel(Executor executor, size_t l) : changed(executor), limit(l) {}
  std::deque<Bytes> queue;
  size_t size = 0;
  bool ended = false;
  bool aborted = false;
  Event changed;
  size_t limit;
};

class PipeEnd : public Stream {
 public:
  PipeEnd(std::shared_ptr<Channel> in, std::shared_ptr<Channel> out) : in_(std::move(in)), out_(std::move(out)) {}
  ~PipeEnd() override { abort(); }

  Task<Result<size_t>> read_some(std::span<char> into) override {
    auto in = in_;
    while (in->queue.empty() && !in->ended && !in->aborted) co_await in->changed.wait();
    if (in->queue.empty()) {
      if (in->aborted) co_return service_unavailable("the pipe was aborted");
      co_return size_t{0};
    }
    Bytes& front = in->queue.front();
    size_t n = std::min(into.size(), front.size());
    std::memcpy(into.data(), front.data(), n);
    in->size -= n;
    if (n == front.size()) {
      in->queue.pop_front();
    } else {
      front = front.slice(n);
    }
    in->changed.notify();
    co_return n;
  }

  Task<Result<void>> write(BytesList pieces) override {
    auto out = out_;
    for (Bytes& piece : pieces) {
      if (piece.empty()) continue;
      while (out->size >= out->limit && !out->aborted) co_await out->changed.wait();
      if (out->aborted || out->ended) co_return service_unavailable("the pipe's other end is gone");
      out->size += piece.size();
      out->queue.push_back(piece.kept());
      out->changed.notify();
    }
    co_return Result<void>{};
  }

  Task<Result<void>> shutdown_write() override {
    out_->ended = true;
    out_->changed.notify();
    co_return Result<void>{};
  }

  void abort() noexcept override {
    for (Channel* channel : {in_.get(), out_.get()}) {
      if (channel == out_.get() && channel->ended) continue;  // a clean end stays one
      channel->aborted = true;
      channel->changed.notify();
    }
  }

 private:
  std::shared_ptr<Channel> in_, out_;
};

}  // namespace

namespace {

Task<Result<BytesList>> read_one_piece(Stream& stream, size_t max) {
  max = std::clamp(max, size_t{1}, kSpliceBufferBytes);
  auto buffer = std::make_shared_for_overwrite<char[]>(max);
  char* data = buffer.get();
  RD_CO_TRY(size_t n, co_await stream.read_some({data, max}));
  BytesList pieces;
  if (n > 0) pieces.push_back(Bytes::share(std::move(buffer), {data, n}));
  co_return pieces;
}

}  // namespace

Task<Result<BytesList>> read_pieces(Stream& stream, size_t max) {
  if (auto* with_pieces = dynamic_cast<PieceStream*>(&stream)) return with_pieces->read_pieces(max);
  return read_one_piece(stream, max);
}

Task<SpliceCounts> splice(StreamPtr a, StreamPtr b) {
  return splice_limited(std::move(a), std::move(b), std::chrono::seconds(0));
}

Task<SpliceCounts> splice_limited(StreamPtr a, StreamPtr b, std::chrono::seconds half_closed) {
  auto executor = co_await boost::asio::this_coro::executor;
  auto state = std::make_shared<SpliceState>();
  state->a = std::move(a);
  state->b = std::move(b);
  state->half_closed = half_closed;
  Scope deadline(executor, "splice half closed");
  if (half_closed.count() > 0) state->deadline = &deadline;
  Scope scope(executor, "splice");
  scope.spawn(pump(state, true));
  scope.spawn(pump(state, false));
  std::exception_ptr cancelled;
  try {
    co_await scope.wait_idle();
  } catch (...) {
    cancelled = std::current_exception();
  }
  if (cancelled) {
    abort_both(*state);
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    co_await scope.join();
    co_await deadline.join();
    std::rethrow_exception(cancelled);
  }
  co_await deadline.join();
  co_return state->counts;
}

Task<Result<std::string>> read_to_end(Stream& stream, size_t limit) {
  std::string out;
  std::string buffer(16 * 1024, '\0');
  while (true) {
    RD_CO_TRY(size_t n, co_await stream.read_some(buffer));
    if (n == 0) co_return out;
    if (out.size() + n > limit) co_return request_entity_too_large(fmt::format("more than {} bytes came", limit));
    out.append(buffer, 0, n);
  }
}

std::pair<StreamPtr, StreamPtr> make_pipe(Executor executor, size_t buffer_bytes) {
  auto there = std::make_shared<Channel>(executor, buffer_bytes);
  auto back = std::make_shared<Channel>(executor, buffer_bytes);
  return {std::make_unique<PipeEnd>(back, there), std::make_unique<PipeEnd>(there, back)};
}

}  // namespace redoubt::net
