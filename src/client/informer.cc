#include "client/informer.h"

#include <set>

#include "base/log.h"
#include "base/random.h"
#include "schema/codec.h"

namespace redoubt::client {

namespace {
constexpr std::chrono::milliseconds kFirstDelay{200}, kLongestDelay{30'000};
}

Reflector::Reflector(Client& api, const schema::Resource& resource, std::string ns, ListOptions options, Sink sink)
    : api_(api),
      resource_(resource),
      namespace_(std::move(ns)),
      options_(std::move(options)),
      sink_(std::move(sink)),
      synced_event_(api.executor()) {}

Task<void> Reflector::wait_synced() {
  while (!synced_) co_await synced_event_.wait();
}

Task<void> Reflector::run() {
  auto delay = kFirstDelay;
  while (true) {
    auto began = std::chrono::steady_clock::now();
    auto outcome = co_await list_and_watch();
    // A watch that lived a while was no failure.
    if (outcome || std::chrono::steady_clock::now() - began > std::chrono::seconds(10)) delay = kFirstDelay;
    if (!outcome && !outcome.error().is("Expired")) {
      log_debug("informer: trying again", {{"resource", resource_.name}, {"error", outcome.error().message()}});
    }
    co_await sleep_for(delay + std::chrono::milliseconds(random_below(static_cast<uint64_t>(delay.count()) / 2 + 1)));
    delay = std::min(delay * 2, kLongestDelay);
  }
}

Task<Result<void>> Reflector::list_and_watch() {
  std::set<std::string> before;
  for (std::string& key : sink_.keys()) before.insert(std::move(key));
  std::string version;
  RD_CO_TRYV(
      co_await api_.list_raw(resource_, namespace_, options_, version, [&](const schema::Value& item) -> Result<void> {
        RD_TRY(std::string key, sink_.upsert(item));
        before.erase(key);
        return {};
      }));
  // What the list no longer shows went while nobody watched.
  for (const std::string& key : before) sink_.erase(key);
  if (!synced_) {
    synced_ = true;
    synced_event_.notify();
  }
  while (true) {
    ListOptions options = options_;
    options.resource_version = version;
    RD_CO_TRY(auto stream, co_await api_.watch_raw(resource_, namespace_, std::move(options)));
    while (true) {
      RD_CO_TRY(auto event, co_await stream->next());
      if (!event) break;
      schema::Arena arena;
      RD_CO_TRY(schema::Value object, schema::parse_json(event->object_json, arena, {.max_bytes = SIZE_MAX}));
      version = object.get({"metadata", "resourceVersion"}).as_string();
      if (event->type == WatchEventType::Deleted) {
        std::string_view ns = object.get({"metadata", "namespace"}).as_string(),
                         name = object.get({"metadata", "name"}).as_string();
        sink_.erase(ns.empty() ? std::string(name) : fmt::format("{}/{}", ns, name));
      } else if (event->type != WatchEventType::Bookmark) {
        RD_CO_TRYV(sink_.upsert(object));
      }
    }
    co_await sleep_for(std::chrono::milliseconds(100));
  }
}

}  // namespace redoubt::client
