// Where events go. Encoding happens where the event happens; writing on the sink's own thread, from a queue.
//
// Modes are upstream's: `batch` queues and, when the queue is full, drops (counted in apiserver_audit_error_total);
// `blocking` makes the request wait until its event was written, and goes on when that failed; with `blocking-strict` a
// failure at RequestReceived fails the request. Any loop.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "apiserver/audit/event.h"
#include "apiserver/audit/rotating_file.h"
#include "base/task.h"
#include "net/stream.h"
#include "net/tcp.h"

namespace redoubt::apiserver::audit {

enum class Mode : uint8_t { Batch, Blocking, BlockingStrict };
enum class Format : uint8_t { Json, Legacy };

struct BatchOptions {
  Mode mode = Mode::Batch;
  size_t buffer_size = 10'000;  // events
  size_t max_size = 400;        // events in one batch; webhook only
  std::chrono::milliseconds max_wait{30'000};
  bool throttle = true;
  double throttle_qps = 10;
  int throttle_burst = 15;
};

// An event longer than max_event_size loses its bodies; if that is not enough, it is dropped and counted.
struct TruncateOptions {
  bool enabled = false;
  size_t max_event_size = 100 * 1024;
  size_t max_batch_size = 10 * 1024 * 1024;
};

struct LogOptions {
  RotationOptions file;
  Format format = Format::Json;
  BatchOptions batch{.mode = Mode::Blocking};
  TruncateOptions truncate;
};

// What a kubeconfig says of the receiver.
struct WebhookTarget {
  std::string server;  // "https://audit.example:8443/path"
  std::string ca_pem, certificate_pem, private_key_pem, bearer_token, tls_server_name;
};

struct WebhookOptions {
  WebhookTarget target;
  BatchOptions batch;
  TruncateOptions truncate;
  std::chrono::milliseconds initial_backoff{10'000};
  // Opens the transport: nothing in here dials by itself.
  std::function<Task<Result<net::StreamPtr>>(net::Address)> dial;
};

class Sink {
 public:
  virtual ~Sink() = default;  // writes what is queued, for kFlushOnStop at most; blocking
  // False when the event is known to be lost (never in batch mode, which does not wait to know).
  virtual Task<bool> write(const Event& event) = 0;
  virtual Mode mode() const = 0;
};

Result<std::unique_ptr<Sink>> make_log_sink(LogOptions options);
Result<std::unique_ptr<Sink>> make_webhook_sink(WebhookOptions options);

}  // namespace redoubt::apiserver::audit
