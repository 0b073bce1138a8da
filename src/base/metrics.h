// Counters, gauges and histograms in Prometheus' text format, under upstream's metric names where the meaning is the
// same.
//
// A metric is made once (at wiring or as a function-local static) and then updated without a lock: one relaxed atomic.
// The registry lives as long as the program. Any thread.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace redoubt {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

class Gauge {
 public:
  void set(int64_t v) { value_.store(v, std::memory_order_relaxed); }
  void add(int64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

class Histogram {
 public:
  explicit Histogram(std::vector<double> upper_bounds);
  void observe(double value);
  std::span<const double> upper_bounds() const { return bounds_; }
  uint64_t bucket(size_t i) const { return buckets_[i].load(std::memory_order_relaxed); }
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  std::vector<double> bounds_;
  std::unique_ptr<std::atomic<uint64_t>[]> buckets_;  // one more than bounds: +Inf
  std::atomic<double> sum_{0};
};

// The metric of that name and these labels, made when first asked for. The reference stays valid for ever. Looking one
// up takes a lock: keep the reference.
Counter& counter(std::string_view name, std::string_view help, const MetricLabels& labels = {});
Gauge& gauge(std::string_view name, std::string_view help, const MetricLabels& labels = {});
Histogram& histogram(std::string_view name, std::string_view help, std::vector<double> upper_bounds,
                     const MetricLabels& labels = {});

// All metrics, in text format version 0.0.4, families and series sorted by name.
std::string render_metrics();

}  // namespace redoubt
