#include "egress/counted.h"

#include "base/metrics.h"
#include "net/pieces.h"

namespace redoubt::egress {

struct DialMetrics {
  Counter &dials, &failures, &sent, &received;
  Gauge& open;
  Histogram& seconds;
};

DialMetrics& dial_metrics(PathId path, std::string_view kind) {
  static std::mutex mutex;
  static std::map<std::pair<PathId, std::string>, DialMetrics, std::less<>> all;
  std::lock_guard lock(mutex);
  auto it = all.find(std::pair(path, std::string(kind)));
  if (it != all.end()) return it->second;
  auto labels = [&](const char* name = nullptr, const char* value = nullptr) {
    MetricLabels out{{"path", std::string(path_name(path))}, {"kind", std::string(kind)}};
    if (name != nullptr) out.emplace_back(name, value);
    return out;
  };
  constexpr const char* kDials = "Connections opened towards the cluster.";
  constexpr const char* kBytes = "Bytes carried on connections towards the cluster.";
  DialMetrics made{counter("redoubt_egress_dials_total", kDials, labels("result", "ok")),
                   counter("redoubt_egress_dials_total", kDials, labels("result", "error")),
                   counter("redoubt_egress_bytes_total", kBytes, labels("direction", "sent")),
                   counter("redoubt_egress_bytes_total", kBytes, labels("direction", "received")),
                   gauge("redoubt_egress_open_streams", "Connections towards the cluster that are open.", labels()),
                   histogram("redoubt_egress_dial_duration_seconds", "How long opening a connection took.",
                             {0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 12.5}, labels())};
  return all.emplace(std::pair(path, std::string(kind)), made).first->second;
}

namespace {

class CountedStream : public net::PieceStream {
 public:
  CountedStream(net::StreamPtr inner, DialMetrics& metrics) : inner_(std::move(inner)), metrics_(metrics) {
    metrics_.open.add(1);
  }
  ~CountedStream() override { metrics_.open.add(-1); }
  Task<Result<size_t>> read_some(std::span<char> into) override {
    auto got = co_await inner_->read_some(into);
    if (got) metrics_.received.add(*got);
    co_return got;
  }
  Task<Result<BytesList>> read_pieces(size_t max) override {
    auto got = co_await net::read_pieces(*inner_, max);
    if (got) metrics_.received.add(total_size(*got));
    co_return got;
  }
  Task<Result<void>> write(BytesList pieces) override {
    metrics_.sent.add(total_size(pieces));
    return inner_->write(std::move(pieces));
  }
  Task<Result<void>> shutdown_write() override { return inner_->shutdown_write(); }
  void abort() noexcept override { inner_->abort(); }

 private:
  net::StreamPtr inner_;
  DialMetrics& metrics_;
};

}  // namespace

Result<net::StreamPtr> counted(Result<net::StreamPtr> dialled, DialMetrics& metrics,
                               std::chrono::steady_clock::duration took) {
  metrics.seconds.observe(std::chrono::duration<double>(took).count());
  if (!dialled) {
    metrics.failures.add();
    return dialled;
  }
  metrics.dials.add();
  return std::make_unique<CountedStream>(std::move(*dialled), metrics);
}

}  // namespace redoubt::egress
