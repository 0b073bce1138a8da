#include <pthread.h>

#include <thread>

#include "apiserver/audit/limits.h"
#include "apiserver/audit/queue.h"
#include "base/log.h"

namespace redoubt::apiserver::audit {

namespace {

// Lines that wait together go out in one write of about this size.
constexpr size_t kWriteBytes = 256 * 1024;

class LogSink : public QueuedSink {
 public:
  LogSink(std::unique_ptr<RotatingFile> file, const LogOptions& options)
      : QueuedSink(options.batch, options.truncate, options.format), file_(std::move(file)) {
    writer_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "audit-log");
      run();
    });
  }
  ~LogSink() override {
    queue_.close();
    writer_.join();
  }

 private:
  void run() {
    std::string text;
    bool failing = false;
    while (true) {
      std::vector<Queued> batch = queue_.take(1024, kWriteBytes, std::chrono::milliseconds(0));
      if (batch.empty()) return;
      text.clear();
      for (const Queued& item : batch) text += item.line.view();
      auto written = file_->write(text);
      if (!written) {
        count_lost("log", batch.size());
        if (!failing)
          log_error("audit: events are lost", {{"events", batch.size()}, {"error", written.error().message()}});
      } else if (failing) {
        log_info("audit: the log takes events again");
      }
      failing = !written;
      for (Queued& item : batch) {
        if (item.done) item.done(written.has_value());
      }
      if (text.capacity() > 4 * kWriteBytes) text = {};
    }
  }

  std::unique_ptr<RotatingFile> file_;
  std::thread writer_;
};

}  // namespace

Result<std::unique_ptr<Sink>> make_log_sink(LogOptions options) {
  if (options.file.max_size_bytes == 0) options.file.max_size_bytes = kDefaultMaxSizeMegabytes * 1024 * 1024;
  RD_TRY(auto file, RotatingFile::open(options.file));
  return std::make_unique<LogSink>(std::move(file), options);
}

}  // namespace redoubt::apiserver::audit
