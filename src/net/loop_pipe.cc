#include "net/loop_pipe.h"

#include <boost/asio/post.hpp>
#include <deque>
#include <mutex>

#include "base/event.h"

namespace redoubt::net {

namespace {

// One direction. The lock is held for a few instructions only; who waits is woken on his own loop.
struct Lane : std::enable_shared_from_this<Lane> {
  Lane(Executor from, Executor to, size_t l)
      : writer_loop(from), reader_loop(to), writable(from), readable(to), limit(l) {}

  void wake_reader() {
    boost::asio::post(reader_loop, [self = shared_from_this()] { self->readable.notify(); });
  }
  void wake_writer() {
    boost::asio::post(writer_loop, [self = shared_from_this()] { self->writable.notify(); });
  }
  // Under the lock: what to wake afterwards.
  void abort() {
    bool reader, writer;
    {
      std::lock_guard lock(mutex);
      aborted = true;
      reader = std::exchange(reader_waits, false);
      writer = std::exchange(writer_waits, false);
    }
    if (reader) wake_reader();
    if (writer) wake_writer();
  }

  Executor writer_loop, reader_loop;
  Event writable, readable;
  const size_t limit;
  std::mutex mutex;
  std::deque<Bytes> queue;
  size_t size = 0;
  bool ended = false, aborted = false;
  bool reader_waits = false, writer_waits = false;
};

class LoopPipeEnd : public Stream {
 public:
  LoopPipeEnd(std::shared_ptr<Lane> in, std::shared_ptr<Lane> out) : in_(std::move(in)), out_(std::move(out)) {}
  ~LoopPipeEnd() override { abort(); }

  Task<Result<size_t>> read_some(std::span<char> into) override {
    auto lane = in_;
    while (left_.empty()) {
      bool wake = false;
      {
        std::lock_guard lock(lane->mutex);
        if (lane->aborted) co_return service_unavailable("the pipe was aborted");
        if (!lane->queue.empty()) {
          left_ = std::move(lane->queue.front());
          lane->queue.pop_front();
          lane->size -= left_.size();
          wake = lane->size < lane->limit && std::exchange(lane->writer_waits, false);
        } else if (lane->ended) {
          co_return size_t{0};
        } else {
          lane->reader_waits = true;
        }
      }
      if (wake) lane->wake_writer();
      if (left_.empty()) co_await lane->readable.wait();
    }
    size_t n = std::min(into.size(), left_.size());
    std::memcpy(into.data(), left_.data(), n);
    left_ = left_.slice(n);
    co_return n;
  }

  Task<Result<void>> write(BytesList pieces) override {
    auto lane = out_;
    while (true) {
      bool wake = false, taken = false;
      {
        std::lock_guard lock(lane->mutex);
        if (lane->aborted || lane->ended) co_return service_unavailable("the pipe's other end is gone");
        if (lane->size < lane->limit) {
          for (Bytes& piece : pieces) {
            if (piece.empty()) continue;
            lane->size += piece.size();
            lane->queue.push_back(piece.kept());
          }
          taken = true;
          wake = !lane->queue.empty() && std::exchange(lane->reader_waits, false);
        } else {
          lane->writer_waits = true;
        }
      }
      if (wake) lane->wake_reader();
      if (taken) co_return Result<void>{};
      co_await lane->writable.wait();
    }
  }

  Task<Result<void>> shutdown_write() override {
    bool wake;
    {
      std::lock_guard lock(out_->mutex);
      out_->ended = true;
      wake = std::exchange(out_->reader_waits, false);
    }
    if (wake) out_->wake_reader();
    co_return Result<void>{};
  }

  void abort() noexcept override {
    in_->abort();
    bool clean;
    {
      std::lock_guard lock(out_->mutex);
      clean = out_->ended;
    }
    if (!clean) out_->abort();
  }

 private:
  std::shared_ptr<Lane> in_, out_;
  Bytes left_;
};

}  // namespace

std::pair<StreamPtr, StreamPtr> make_loop_pipe(Executor first, Executor second, size_t buffer_bytes) {
  auto there = std::make_shared<Lane>(first, second, buffer_bytes);
  auto back = std::make_shared<Lane>(second, first, buffer_bytes);
  return {std::make_unique<LoopPipeEnd>(back, there), std::make_unique<LoopPipeEnd>(there, back)};
}

}  // namespace redoubt::net
