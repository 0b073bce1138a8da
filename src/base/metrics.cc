#include "base/metrics.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <mutex>
#include <variant>

#include "base/metric_source.h"

namespace redoubt {
namespace {

struct Family {
  std::string help;
  const char* type = "";
  // Series by their rendered labels ("" or `{a="b"}`); a map's nodes never move, so references stay valid.
  std::map<std::string, std::variant<std::unique_ptr<Counter>, std::unique_ptr<Gauge>, std::unique_ptr<Histogram>>>
      series;
};

struct Registry {
  std::mutex mutex;
  std::map<std::string, Family, std::less<>> families;
};

Registry& registry() {
  static auto* instance = new Registry;  // never destroyed: threads may count until the very end
  return *instance;
}

std::string escape_label(std::string_view value) {
  std::string out;
  for (char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    out += c;
  }
  return out;
}

std::string render_labels(const MetricLabels& labels) {
  if (labels.empty()) return "";
  std::string out = "{";
  for (const auto& [key, value] : labels) {
    if (out.size() > 1) out += ',';
    out += fmt::format("{}=\"{}\"", key, escape_label(value));
  }
  return out + "}";
}

template <class M, class Make>
M& find_or_make(std::string_view name, std::string_view help, const char* type, const MetricLabels& labels, Make make) {
  Registry& all = registry();
  std::lock_guard lock(all.mutex);
  auto it = all.families.find(name);
  if (it == all.families.end()) it = all.families.emplace(std::string(name), Family{std::string(help), type, {}}).first;
  auto [slot, added] = it->second.series.try_emplace(render_labels(labels));
  if (added) slot->second = make();
  return *std::get<std::unique_ptr<M>>(slot->second);
}

std::string format_double(double value) {
  return std::isinf(value) ? "+Inf" : fmt::format("{}", value);
}

// `{a="b"}` with le added; `""` becomes `{le="..."}`.
std::string with_le(std::string_view labels, std::string_view bound) {
  if (labels.empty()) return fmt::format("{{le=\"{}\"}}", bound);
  return fmt::format("{},le=\"{}\"}}", labels.substr(0, labels.size() - 1), bound);
}

void render_histogram(std::string& out, std::string_view name, std::string_view labels, const Histogram& histogram) {
  uint64_t total = 0;
  auto bounds = histogram.upper_bounds();
  for (size_t i = 0; i <= bounds.size(); ++i) {
    total += histogram.bucket(i);
    std::string bound = i < bounds.size() ? format_double(bounds[i]) : "+Inf";
    out += fmt::format("{}_bucket{} {}\n", name, with_le(labels, bound), total);
  }
  out += fmt::format("{}_sum{} {}\n{}_count{} {}\n", name, labels, histogram.sum(), name, labels, total);
}

}  // namespace

Histogram::Histogram(std::vector<double> upper_bounds)
    : bounds_(std::move(upper_bounds)), buckets_(new std::atomic<uint64_t>[bounds_.size() + 1]()) {}

void Histogram::observe(double value) {
  size_t i = 0;
  while (i < bounds_.size() && value > bounds_[i]) ++i;
  buckets_[i].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

Counter& counter(std::string_view name, std::string_view help, const MetricLabels& labels) {
  return find_or_make<Counter>(name, help, "counter", labels, [] { return std::make_unique<Counter>(); });
}

Gauge& gauge(std::string_view name, std::string_view help, const MetricLabels& labels) {
  return find_or_make<Gauge>(name, help, "gauge", labels, [] { return std::make_unique<Gauge>(); });
}

Histogram& histogram(std::string_view name, std::string_view help, std::vector<double> upper_bounds,
                     const MetricLabels& labels) {
  return find_or_make<Histogram>(name, help, "histogram", labels,
                                 [&] { return std::make_unique<Histogram>(std::move(upper_bounds)); });
}

namespace {

struct Sources {
  std::mutex mutex;  // held while they are asked
  std::vector<const MetricSource::Collect*> all;
};

Sources& sources() {
  static auto* instance = new Sources;
  return *instance;
}

// What the sources have now, as text by family.
std::map<std::string, std::string> render_sources() {
  std::map<std::string, std::string> out;
  Sources& s = sources();
  std::lock_guard lock(s.mutex);
  for (const MetricSource::Collect* collect : s.all) {
    for (const MetricFamily& family : (*collect)()) {
      std::map<std::string, double> series;
      for (const MetricSample& sample : family.samples) series[render_labels(sample.labels)] = sample.value;
      std::string& text = out[family.name];
      if (text.empty())
        text = fmt::format("# HELP {} {}\n# TYPE {} {}\n", family.name, family.help, family.name, family.type);
      for (const auto& [labels, value] : series) text += fmt::format("{}{} {}\n", family.name, labels, value);
    }
  }
  return out;
}

}  // namespace

MetricSource::MetricSource(Collect collect) : collect_(std::move(collect)) {
  Sources& s = sources();
  std::lock_guard lock(s.mutex);
  s.all.push_back(&collect_);
}

MetricSource::~MetricSource() {
  Sources& s = sources();
  std::lock_guard lock(s.mutex);
  std::erase(s.all, &collect_);
}

std::string render_metrics() {
  std::map<std::string, std::string> sourced = render_sources();
  Registry& all = registry();
  std::lock_guard lock(all.mutex);
  std::string out;
  auto next = sourced.begin();
  for (const auto& [name, family] : all.families) {
    for (; next != sourced.end() && next->first < name; ++next) out += next->second;
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, family.help, name, family.type);
    for (const auto& [labels, metric] : family.series) {
      if (const auto* c = std::get_if<std::unique_ptr<Counter>>(&metric)) {
        out += fmt::format("{}{} {}\n", name, labels, (*c)->value());
      } else if (const auto* g = std::get_if<std::unique_ptr<Gauge>>(&metric)) {
        out += fmt::format("{}{} {}\n", name, labels, (*g)->value());
      } else {
        render_histogram(out, name, labels, *std::get<std::unique_ptr<Histogram>>(metric));
      }
    }
  }
  for (; next != sourced.end(); ++next) out += next->second;
  return out;
}

}  // namespace redoubt
