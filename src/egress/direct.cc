#include "base/metrics.h"
#include "egress/dialer.h"

namespace redoubt::egress {

std::string_view path_name(PathId path) {
  switch (path) {
    case PathId::ApiserverKubelet:
      return "apiserver-kubelet";
    case PathId::ApiserverNode:
      return "apiserver-node";
    case PathId::ApiserverPod:
      return "apiserver-pod";
    case PathId::ApiserverService:
      return "apiserver-service";
    case PathId::ApiserverWebhook:
      return "apiserver-webhook";
  }
  return "unknown";
}

namespace {

struct PathMetrics {
  explicit PathMetrics(std::string_view path)
      : dials(counter("redoubt_egress_dials_total", "Connections opened towards the cluster.",
                      {{"path", std::string(path)}, {"result", "ok"}})),
        failures(counter("redoubt_egress_dials_total", "Connections opened towards the cluster.",
                         {{"path", std::string(path)}, {"result", "error"}})),
        sent(counter("redoubt_egress_bytes_total", "Bytes carried on connections towards the cluster.",
                     {{"path", std::string(path)}, {"direction", "sent"}})),
        received(counter("redoubt_egress_bytes_total", "Bytes carried on connections towards the cluster.",
                         {{"path", std::string(path)}, {"direction", "received"}})) {}
  Counter &dials, &failures, &sent, &received;
};

PathMetrics& metrics_of(PathId path) {
  static PathMetrics all[] = {
      PathMetrics(path_name(PathId::ApiserverKubelet)), PathMetrics(path_name(PathId::ApiserverNode)),
      PathMetrics(path_name(PathId::ApiserverPod)), PathMetrics(path_name(PathId::ApiserverService)),
      PathMetrics(path_name(PathId::ApiserverWebhook))};
  return all[static_cast<size_t>(path)];
}

class CountedStream : public net::Stream {
 public:
  CountedStream(net::StreamPtr inner, PathMetrics& metrics) : inner_(std::move(inner)), metrics_(metrics) {}
  Task<Result<size_t>> read_some(std::span<char> into) override {
    auto got = co_await inner_->read_some(into);
    if (got) metrics_.received.add(*got);
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
  PathMetrics& metrics_;
};

class DirectDialer : public Dialer {
 public:
  explicit DirectDialer(std::chrono::milliseconds timeout) : timeout_(timeout) {}
  Task<Result<net::StreamPtr>> dial(PathId path, Target target) override {
    PathMetrics& metrics = metrics_of(path);
    auto stream = co_await net::tcp_connect(std::move(target.address), timeout_);
    if (!stream) {
      metrics.failures.add();
      co_return Error(std::move(stream).error());
    }
    metrics.dials.add();
    net::StreamPtr counted = std::make_unique<CountedStream>(std::move(*stream), metrics);
    co_return counted;
  }

 private:
  std::chrono::milliseconds timeout_;
};

}  // namespace

std::unique_ptr<Dialer> make_direct_dialer(std::chrono::milliseconds timeout) {
  return std::make_unique<DirectDialer>(timeout);
}

}  // namespace redoubt::egress
