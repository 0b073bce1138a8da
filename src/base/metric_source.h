// Metrics whose series come and go with what they describe (one a tunnel): asked for at each scrape, instead of kept as
// those of metrics.h are.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/metrics.h"

namespace redoubt {

struct MetricSample {
  MetricLabels labels;  // no two of a family the same
  double value = 0;
};
struct MetricFamily {
  std::string name, help;
  const char* type = "gauge";  // or "counter"
  std::vector<MetricSample> samples;
};

// Registered while it lives: render_metrics() calls `collect`, on whatever thread it runs; it must not wait, and must
// not make or end a source. The destructor waits for a call under way. No family may have the name of a metrics.h one.
class MetricSource {
 public:
  using Collect = std::function<std::vector<MetricFamily>()>;
  explicit MetricSource(Collect collect);
  ~MetricSource();
  MetricSource(const MetricSource&) = delete;
  MetricSource& operator=(const MetricSource&) = delete;

 private:
  Collect collect_;
};

}  // namespace redoubt
