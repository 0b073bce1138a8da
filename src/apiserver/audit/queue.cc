#include "apiserver/audit/queue.h"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/metrics.h"

namespace redoubt::apiserver::audit {

namespace asio = boost::asio;

void count_lost(const char* plugin, size_t events) {
  counter("apiserver_audit_error_total",
          "Audit events that failed to be audited properly, by the plugin affected by the error.", {{"plugin", plugin}})
      .add(events);
}

bool Queue::push(Queued item) {
  bool waits = static_cast<bool>(item.done);
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    if (closed_ || (!waits && items_.size() >= capacity_)) return false;
    wake = items_.empty() || waits;
    waiting_ += waits ? 1 : 0;
    items_.push_back(std::move(item));
    wake = wake || items_.size() % 256 == 0;  // a batch may be full now
  }
  if (wake) grew_.notify_one();
  return true;
}

std::vector<Queued> Queue::take(size_t max, size_t max_bytes, std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  grew_.wait(lock, [this] { return !items_.empty() || closed_; });
  if (wait.count() > 0) grew_.wait_for(lock, wait, [&] { return items_.size() >= max || waiting_ > 0 || closed_; });
  std::vector<Queued> out;
  size_t bytes = 0;
  while (!items_.empty() && out.size() < max) {
    bytes += items_.front().line.size();
    if (!out.empty() && bytes > max_bytes) break;
    waiting_ -= items_.front().done ? 1 : 0;
    out.push_back(std::move(items_.front()));
    items_.pop_front();
  }
  return out;
}

void Queue::close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  grew_.notify_all();
}

bool Queue::closed() const {
  std::lock_guard lock(mutex_);
  return closed_;
}

std::optional<Bytes> QueuedSink::encode(const Event& event) const {
  std::string line;
  line.reserve(1024 + event.request_object.size() + event.response_object.size());
  auto append = [&](const Event& e) { format_ == Format::Json ? append_json(line, e) : append_legacy(line, e); };
  append(event);
  if (truncate_.enabled && line.size() > truncate_.max_event_size && event.level >= Level::Request) {
    Event cut = event;
    cut.truncated = true;
    line.clear();
    append(cut);
  }
  if (truncate_.enabled && line.size() > truncate_.max_event_size) {
    count_lost("truncate", 1);
    return std::nullopt;
  }
  return Bytes::take(std::move(line));
}

Task<bool> QueuedSink::write(const Event& event) {
  std::optional<Bytes> line = encode(event);
  if (!line) co_return false;
  if (batch_.mode == Mode::Batch) {
    if (!queue_.push({std::move(*line), {}})) count_lost("buffered", 1);
    co_return true;
  }
  auto executor = co_await asio::this_coro::executor;
  bool written = false;
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
      [&](auto handler) {
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        // The caller's frame waits for exactly this: `written` is alive until the handler runs.
        auto done = [executor, shared, &written](bool ok) {
          asio::post(executor, [shared, &written, ok] {
            written = ok;
            std::move (*shared)();
          });
        };
        if (!queue_.push({std::move(*line), done})) {
          count_lost("buffered", 1);
          done(false);
        }
      },
      asio::use_awaitable);
  co_return written;
}

}  // namespace redoubt::apiserver::audit
