// The queue between the loops and a sink's thread, and what both sinks do with an event before it goes in.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "apiserver/audit/sink.h"
#include "base/bytes.h"

namespace redoubt::apiserver::audit {

struct Queued {
  Bytes line;
  std::function<void(bool written)> done;  // empty in batch mode; called once, any thread
};

// Many producers, one consumer.
class Queue {
 public:
  explicit Queue(size_t capacity) : capacity_(capacity) {}
  // False when full. An item that somebody waits for always has a place: it is bounded by the requests under way.
  bool push(Queued item);
  // Up to `max` items and `max_bytes` (one at least), the first when it comes, the rest within `wait` of it; empty when
  // the queue was closed and is drained.
  std::vector<Queued> take(size_t max, size_t max_bytes, std::chrono::milliseconds wait);
  void close();
  bool closed() const;

 private:
  size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable grew_;
  std::deque<Queued> items_;
  size_t waiting_ = 0;  // items with somebody behind them: the consumer does not dawdle
  bool closed_ = false;
};

// Encodes, truncates, queues, waits: the half of a Sink that runs on the loops.
class QueuedSink : public Sink {
 public:
  QueuedSink(BatchOptions batch, TruncateOptions truncate, Format format)
      : queue_(batch.buffer_size), batch_(batch), truncate_(truncate), format_(format) {}
  Task<bool> write(const Event& event) override;
  Mode mode() const override { return batch_.mode; }

 protected:
  Queue queue_;
  BatchOptions batch_;

 private:
  // Nothing when the event is too large even without its bodies.
  std::optional<Bytes> encode(const Event& event) const;
  TruncateOptions truncate_;
  Format format_;
};

// apiserver_audit_error_total{plugin}; upstream's plugin names: buffered, log, truncate, webhook.
void count_lost(const char* plugin, size_t events);

}  // namespace redoubt::apiserver::audit
