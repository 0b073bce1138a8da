#include "client/event_recorder.h"

#include "base/log.h"
#include "base/random.h"

namespace redoubt::client {

namespace {
// Equal events are counted in one object as long as they are among the last so many.
constexpr size_t kRemembered = 256;
constexpr size_t kMaxMessageBytes = 1024;  // what the API takes
}  // namespace

Task<void> EventRecorder::record(k8s::core::v1::ObjectReference about, std::string type, std::string reason,
                                 std::string message) {
  if (message.size() > kMaxMessageBytes) message.resize(kMaxMessageBytes);
  std::string key = about.uid + '\n' + about.name + '\n' + type + '\n' + reason + '\n' + message;
  if (auto it = seen_.find(key); it != seen_.end()) {
    ++it->second.count;
    Seen known = it->second;
    auto written = co_await api_.patch<k8s::core::v1::Event>(
        known.ns, known.name, PatchType::Merge,
        fmt::format(R"({{"count":{},"lastTimestamp":"{}"}})", known.count, format_rfc3339(now())));
    if (written || !written.error().is("NotFound")) co_return;
    seen_.erase(key);  // it has expired: begin again
  }
  k8s::core::v1::Event e;
  // Cluster-scoped objects' events live in "default".
  e.metadata.namespace_ = about.namespace_.empty() ? "default" : about.namespace_;
  // As upstream names them; a generateName may not end with a dot.
  e.metadata.name = fmt::format("{}.{:016x}", about.name.substr(0, 200), random_u64());
  e.involvedObject = std::move(about);
  e.reason = reason;
  e.message = std::move(message);
  e.type = std::move(type);
  e.source.component = e.reportingComponent = component_;
  e.firstTimestamp = e.lastTimestamp = schema::Time::now();
  e.count = 1;
  auto made = co_await api_.create(std::move(e));
  if (!made) {
    log_debug("an event could not be recorded", {{"reason", reason}, {"error", made.error().message()}});
    co_return;
  }
  if (seen_.emplace(key, Seen{made->metadata.namespace_, made->metadata.name, 1}).second) order_.push_back(key);
  while (order_.size() > kRemembered) {
    seen_.erase(order_.front());
    order_.pop_front();
  }
}

}  // namespace redoubt::client
