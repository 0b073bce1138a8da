#include "net/cross_loop.h"

#include "base/event.h"
#include "net/limits.h"
#include "net/pieces.h"

namespace redoubt::net {

namespace {

struct Shared {
  Shared(Executor h, Executor u) : home(h), user(u), home_changed(h), user_changed(u) {}

  struct Queue {
    BytesList pieces;
    size_t bytes = 0;
    bool ended = false;
  };

  // Wakes a loop that said (under the lock) that it waits.
  void wake_user(std::shared_ptr<Shared> self) {
    boost::asio::post(user, [self] { self->user_changed.notify(); });
  }
  void wake_home(std::shared_ptr<Shared> self) {
    boost::asio::post(home, [self] { self->home_changed.notify(); });
  }

  Executor home, user;
  std::mutex mutex;
  Queue in, out;  // towards the user, towards home
  bool user_waits = false, home_waits = false;
  bool aborted = false;  // by the user
  bool failed = false;   // at home
  Status failure{503, "ServiceUnavailable", "the stream's other loop is gone"};
  Event home_changed, user_changed;  // each for its own loop only
};
using SharedPtr = std::shared_ptr<Shared>;

void fail(const SharedPtr& s, const Status* why) {
  bool wake = false;
  {
    std::lock_guard lock(s->mutex);
    if (!s->failed && why != nullptr) s->failure = *why;
    s->failed = true;
    wake = std::exchange(s->user_waits, false);
  }
  s->home_changed.notify();
  if (wake) s->wake_user(s);
}

// Reports a task's end that was no orderly one (cancelled, or an error).
struct Failing {
  SharedPtr s;
  std::shared_ptr<Stream> inner;
  bool orderly = false;
  ~Failing() {
    if (orderly) return;
    fail(s, nullptr);
    inner->abort();
  }
};

// Home: what comes goes into the queue.
Task<void> pump_in(SharedPtr s, std::shared_ptr<Stream> inner) {
  Failing failing{s, inner};
  while (true) {
    while (true) {
      {
        std::lock_guard lock(s->mutex);
        if (s->aborted || s->failed) co_return;
        if (s->in.bytes < kCrossLoopBytes) break;
        s->home_waits = true;
      }
      co_await s->home_changed.wait();
    }
    auto got = co_await read_pieces(*inner, kCrossLoopBytes);
    if (!got) {
      fail(s, &got.error());
      co_return;
    }
    bool ended = got->empty(), wake = false;
    {
      std::lock_guard lock(s->mutex);
      s->in.bytes += total_size(*got);
      s->in.ended = ended;
      if (s->in.pieces.empty()) {
        s->in.pieces = std::move(*got);
      } else {
        for (Bytes& piece : *got) s->in.pieces.push_back(std::move(piece));
      }
      wake = std::exchange(s->user_waits, false);
    }
    if (wake) s->wake_user(s);
    if (ended) {
      failing.orderly = true;
      co_return;
    }
  }
}

// Home: what is in the queue goes out.
Task<void> pump_out(SharedPtr s, std::shared_ptr<Stream> inner) {
  Failing failing{s, inner};
  while (true) {
    BytesList pieces;
    bool ended = false, wake = false;
    while (true) {
      {
        std::lock_guard lock(s->mutex);
        if (s->aborted || s->failed) co_return;
        pieces = std::exchange(s->out.pieces, {});
        s->out.bytes = 0;
        ended = s->out.ended;
        wake = std::exchange(s->user_waits, false);
        if (pieces.empty() && !ended) s->home_waits = true;
      }
      if (wake) s->wake_user(s);
      if (!pieces.empty() || ended) break;
      co_await s->home_changed.wait();
    }
    if (!pieces.empty()) {
      auto sent = co_await inner->write(std::move(pieces));
      if (!sent) {
        fail(s, &sent.error());
        co_return;
      }
      continue;
    }
    auto done = co_await inner->shutdown_write();
    if (!done) {
      fail(s, &done.error());
      co_return;
    }
    failing.orderly = true;
    co_return;
  }
}

class CrossLoopStream : public PieceStream {
 public:
  CrossLoopStream(SharedPtr s, std::shared_ptr<Stream> inner) : s_(std::move(s)), inner_(std::move(inner)) {}
  ~CrossLoopStream() override {
    abort();
    // Home's last share ends at home.
    boost::asio::post(s_->home, [inner = std::move(inner_)] {});
  }

  Task<Result<size_t>> read_some(std::span<char> into) override {
    if (left_.empty()) {
      RD_CO_TRY(BytesList pieces, co_await read_pieces(into.size()));
      if (pieces.empty()) co_return size_t{0};
      left_ = std::move(pieces);
    }
    size_t n = 0;
    while (n < into.size() && !left_.empty()) {
      Bytes& front = left_.front();
      size_t part = std::min(front.size(), into.size() - n);
      std::memcpy(into.data() + n, front.data(), part);
      n += part;
      if (part == front.size()) {
        left_.erase(left_.begin());
      } else {
        front = front.slice(part);
      }
    }
    co_return n;
  }

  Task<Result<BytesList>> read_pieces(size_t) override {
    if (!left_.empty()) co_return std::exchange(left_, {});
    auto s = s_;
    while (true) {
      BytesList pieces;
      bool wake = false;
      {
        std::lock_guard lock(s->mutex);
        if (!s->in.pieces.empty()) {
          pieces = std::exchange(s->in.pieces, {});
          s->in.bytes = 0;
          wake = std::exchange(s->home_waits, false);
        } else if (s->in.ended) {
          co_return BytesList();
        } else if (s->failed || s->aborted) {
          co_return Error(s->failure);
        } else {
          s->user_waits = true;
        }
      }
      if (wake) s->wake_home(s);
      if (!pieces.empty()) co_return pieces;
      co_await s->user_changed.wait();
    }
  }

  Task<Result<void>> write(BytesList pieces) override {
    auto s = s_;
    for (Bytes& piece : pieces) piece = piece.kept();
    while (true) {
      bool wake = false, queued = false;
      {
        std::lock_guard lock(s->mutex);
        if (s->failed || s->aborted || s->out.ended) co_return Error(s->failure);
        if (s->out.bytes < kCrossLoopBytes) {
          queued = true;
          s->out.bytes += total_size(pieces);
          if (s->out.pieces.empty()) {
            s->out.pieces = std::move(pieces);
          } else {
            for (Bytes& piece : pieces) s->out.pieces.push_back(std::move(piece));
          }
          wake = std::exchange(s->home_waits, false);
        } else {
          s->user_waits = true;
        }
      }
      if (wake) s->wake_home(s);
      if (queued) co_return Result<void>{};
      co_await s->user_changed.wait();
    }
  }

  Task<Result<void>> shutdown_write() override {
    auto s = s_;
    {
      std::lock_guard lock(s->mutex);
      s->out.ended = true;
      s->home_waits = false;
    }
    s->wake_home(s);
    co_return Result<void>{};
  }

  void abort() noexcept override {
    {
      std::lock_guard lock(s_->mutex);
      // Once both directions ended in order there is nothing to drop; what is queued still goes out.
      if (s_->aborted || (s_->in.ended && s_->out.ended)) return;
      s_->aborted = true;
    }
    boost::asio::post(s_->home, [s = s_, inner = inner_] {
      inner->abort();
      s->home_changed.notify();
    });
    s_->user_changed.notify();
  }

 private:
  SharedPtr s_;
  std::shared_ptr<Stream> inner_;
  BytesList left_;
};

}  // namespace

StreamPtr make_cross_loop_stream(StreamPtr inner, Scope& home, Executor user) {
  auto s = std::make_shared<Shared>(home.executor(), user);
  std::shared_ptr<Stream> shared = std::move(inner);
  home.spawn(pump_in(s, shared));
  home.spawn(pump_out(s, shared));
  return std::make_unique<CrossLoopStream>(std::move(s), std::move(shared));
}

}  // namespace redoubt::net
