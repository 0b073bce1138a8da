#include <algorithm>
#include <deque>
#include <set>

#include "base/event.h"
#include "base/log.h"
#include "base/random.h"
#include "client/discovery.h"
#include "client/event_recorder.h"
#include "controllers/controllers.h"
#include "controllers/garbage/graph.h"
#include "schema/codec.h"

namespace redoubt::controllers {

namespace {

using garbage::Graph;
using garbage::Node;
using garbage::Work;

constexpr std::chrono::seconds kDiscoverEvery{30};  // new kinds; sooner when a CRD or APIService changes
constexpr std::chrono::milliseconds kSettle{500};   // between such a change and asking
constexpr std::chrono::milliseconds kFirstDelay{200}, kLongestDelay{30'000};
constexpr size_t kAbsentRemembered = 500;  // owners known to be gone, as upstream
constexpr size_t kWorkers = 8;
const std::string kOrphanKey = "orphan:";

// What a fresh look at an owner shows.
enum class OwnerState { Solid, Dangling, Waiting };

class GarbageCollector : public Controller {
 public:
  explicit GarbageCollector(client::Client& api)
      : api_(api),
        events_(api, "garbage-collector-controller"),
        kinds_changed_(api.executor()),
        synced_(api.executor()),
        queue_(
            api.executor(), "garbage", [this](std::string key) { return reconcile(std::move(key)); }, kWorkers),
        scope_(api.executor(), "garbage watches") {}

  Task<void> run() override {
    scope_.spawn(follow_kinds());
    std::exception_ptr cancelled;
    try {
      while (!all_synced()) co_await synced_.wait();
      working_ = true;
      for (std::string& uid : graph_.with_absent_owners()) queue_.add(std::move(uid));
      log_debug("garbage collector synced",
                {{"objects", std::to_string(graph_.size())}, {"with_owners", std::to_string(graph_.kept())}});
      co_await queue_.run();
    } catch (...) {
      cancelled = std::current_exception();
    }
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    co_await scope_.join();
    if (cancelled) std::rethrow_exception(cancelled);
  }

 private:
  // ---- what is watched ----

  struct Monitor {
    client::ApiResource resource;
    bool running = false;
    bool synced = false;
  };

  bool all_synced() const {
    return discovered_ &&
           std::all_of(monitors_.begin(), monitors_.end(), [](const auto& m) { return !m->running || m->synced; });
  }

  Task<void> follow_kinds() {
    while (true) {
      auto found = co_await client::discover(api_);
      if (!found) {
        log_debug("garbage: discovery failed", {{"error", found.error().message()}});
        co_await sleep_for(std::chrono::seconds(1));
        continue;
      }
      for (client::ApiResource& resource : found->resources) {
        bool events = resource.name == "events" && (resource.group.empty() || resource.group == "events.k8s.io");
        // Events own nothing and are owned by nobody, and they are many.
        if (events || !resource.can("delete") || !resource.can("list") || !resource.can("watch")) continue;
        start(std::move(resource));
      }
      discovered_ = true;
      synced_.notify();
      if (co_await kinds_changed_.wait_for(kDiscoverEvery)) co_await sleep_for(kSettle);
    }
  }

  void start(client::ApiResource resource) {
    auto same = [&](const auto& m) { return m->resource.group == resource.group && m->resource.name == resource.name; };
    auto it = std::find_if(monitors_.begin(), monitors_.end(), same);
    if (it == monitors_.end()) {
      monitors_.push_back(std::make_unique<Monitor>());
      it = std::prev(monitors_.end());
    }
    Monitor& monitor = **it;
    if (monitor.running) return;
    monitor.resource = std::move(resource);
    monitor.running = true;
    monitor.synced = false;
    scope_.spawn(follow(static_cast<uint32_t>(it - monitors_.begin())));
  }

  Task<void> follow(uint32_t index) {
    auto delay = kFirstDelay;
    Monitor& monitor = *monitors_[index];
    while (true) {
      auto began = std::chrono::steady_clock::now();
      auto outcome = co_await list_and_watch(index);
      if (!outcome && outcome.error().is("NotFound")) break;  // the kind is no longer served
      if (outcome || std::chrono::steady_clock::now() - began > std::chrono::seconds(10)) delay = kFirstDelay;
      co_await sleep_for(delay + std::chrono::milliseconds(random_below(static_cast<uint64_t>(delay.count()) / 2 + 1)));
      delay = std::min(delay * 2, kLongestDelay);
    }
    monitor.running = false;
    do_work(graph_.keep_only(index, {}));
    synced_.notify();
  }

  Task<Result<void>> list_and_watch(uint32_t index) {
    Monitor& monitor = *monitors_[index];
    schema::Resource row = monitor.resource.row();
    bool kinds = monitor.resource.name == "customresourcedefinitions" || monitor.resource.name == "apiservices";
    garbage::UidSet seen;
    std::string version;
    RD_CO_TRYV(co_await api_.list_raw(
        row, {}, {.metadata_only = true}, version, [&](const schema::Value& item) -> Result<void> {
          RD_TRY(auto metadata, schema::from_value<meta::ObjectMeta>(item.get({"metadata"})));
          seen.insert(garbage::Uid::of(metadata.uid));
          do_work(graph_.observe(index, metadata));
          return {};
        }));
    do_work(graph_.keep_only(index, seen));
    seen = {};
    if (!monitor.synced) {
      monitor.synced = true;
      synced_.notify();
    }
    while (true) {
      client::ListOptions options{.resource_version = version, .metadata_only = true};
      RD_CO_TRY(auto stream, co_await api_.watch_raw(row, {}, std::move(options)));
      while (true) {
        RD_CO_TRY(auto event, co_await stream->next());
        if (!event) break;
        schema::Arena arena;
        RD_CO_TRY(schema::Value object, schema::parse_json(event->object_json, arena, {.max_bytes = SIZE_MAX}));
        RD_CO_TRY(auto metadata, schema::from_value<meta::ObjectMeta>(object.get({"metadata"})));
        version = metadata.resourceVersion;
        if (event->type == client::WatchEventType::Bookmark) continue;
        do_work(event->type == client::WatchEventType::Deleted ? graph_.forget(metadata.uid)
                                                               : graph_.observe(index, metadata));
        if (kinds) kinds_changed_.notify();
      }
      co_await sleep_for(std::chrono::milliseconds(100));
    }
  }

  void do_work(Work work) {
    // Before everything has been seen, an owner that is not there means nothing.
    if (working_) {
      for (std::string& uid : work.attempt) queue_.add(std::move(uid));
    }
    for (std::string& uid : work.orphan) queue_.add(kOrphanKey + uid);
    if (!working_) {
      for (std::string& uid : work.attempt) {
        const Node* node = graph_.find(uid);
        if (node != nullptr && node->deleting_foreground) queue_.add(std::move(uid));
      }
    }
  }

  // ---- what is done ----

  Task<Result<client::WorkQueue::Outcome>> reconcile(std::string key) {
    if (key.starts_with(kOrphanKey)) return orphan(key.substr(kOrphanKey.size()));
    return attempt(std::move(key));
  }

  // A copy: the graph changes while requests are under way.
  std::optional<Node> node_of(const std::string& uid) const {
    const Node* node = graph_.find(uid);
    return node == nullptr ? std::nullopt : std::optional<Node>(*node);
  }
  client::ApiResource resource_of(const Node& node) const { return monitors_[node.resource]->resource; }

  // The object now; nothing when it has gone or is another one of that name.
  Task<Result<std::optional<meta::ObjectMeta>>> fresh(Node node) {
    client::ApiResource resource = resource_of(node);
    auto live = co_await api_.get_metadata(resource.row(), node.namespace_, node.name);
    if (!live && !live.error().is("NotFound")) co_return Error(live.error());
    if (!live || live->uid != node.uid) {
      do_work(graph_.forget(node.uid));
      co_return std::nullopt;
    }
    co_return std::optional<meta::ObjectMeta>(std::move(*live));
  }

  Task<Result<client::WorkQueue::Outcome>> attempt(std::string uid) {
    client::WorkQueue::Outcome done;
    auto item = node_of(uid);
    if (!item) co_return done;
    RD_CO_TRY(auto live, co_await fresh(*item));
    if (!live) co_return done;
    if (is_deleting(*live)) {
      if (!has_finalizer(*live, garbage::kForeground)) co_return done;  // it goes by itself
      co_return co_await finish_foreground(std::move(*item), std::move(*live));
    }
    if (live->ownerReferences.empty()) co_return done;
    std::set<std::string> lost, waiting;
    bool solid = false;
    for (const meta::OwnerReference& reference : live->ownerReferences) {
      client::ApiResource resource = resource_of(*item);
      if (!resource.namespaced && owner_is_namespaced(reference))
        co_return done;  // no such reference can hold: left alone
      RD_CO_TRY(OwnerState state, co_await look_at_owner(*item, reference));
      if (state == OwnerState::Solid) solid = true;
      if (state == OwnerState::Dangling) lost.insert(reference.uid);
      if (state == OwnerState::Waiting) waiting.insert(reference.uid);
    }
    if (solid) {
      if (lost.empty() && waiting.empty()) co_return done;
      lost.merge(waiting);
      // Somebody still owns it: only the references that lead nowhere go.
      RD_CO_TRYV(co_await write_owners(*item, *live, [&](meta::OwnerReference& r) { return !lost.contains(r.uid); }));
      co_return done;
    }
    std::string policy = "Background";
    std::vector<Node> dependents = graph_.dependents_of(uid);
    if (!waiting.empty() && !dependents.empty()) {
      // A circle of objects that wait for each other would never end: let go of the owner.
      bool circle = std::any_of(dependents.begin(), dependents.end(),
                                [](const Node& dependent) { return dependent.deleting_foreground; });
      if (circle) {
        RD_CO_TRYV(co_await write_owners(*item, *live, [](meta::OwnerReference& r) {
          r.blockOwnerDeletion = false;
          return true;
        }));
        RD_CO_TRY(live, co_await fresh(*item));
        if (!live) co_return done;
      }
      policy = "Foreground";
    } else if (has_finalizer(*live, garbage::kOrphan)) {
      policy = "Orphan";
    } else if (has_finalizer(*live, garbage::kForeground)) {
      policy = "Foreground";
    }
    client::ApiResource resource = resource_of(*item);
    auto deleted = co_await api_.remove_raw(
        resource.row(), item->namespace_, item->name,
        {.propagation_policy = policy, .uid = item->uid, .resource_version = live->resourceVersion});
    if (!deleted && !deleted.error().is("NotFound")) co_return Error(deleted.error());
    log_debug("garbage collected", {{"resource", resource.group_resource()},
                                    {"namespace", item->namespace_},
                                    {"name", item->name},
                                    {"policy", policy}});
    co_return done;
  }

  // Being deleted in the foreground: its blocking dependents first, then itself.
  Task<Result<client::WorkQueue::Outcome>> finish_foreground(Node item, meta::ObjectMeta live) {
    if (!all_synced()) co_return client::WorkQueue::Outcome{.again_after = std::chrono::seconds(1)};
    std::vector<Node> blocking = graph_.blocking_dependents_of(item.uid);
    if (!blocking.empty()) {
      for (const Node& dependent : blocking) {
        if (!dependent.deleting_foreground) queue_.add(dependent.uid);
      }
      co_return client::WorkQueue::Outcome{};
    }
    RD_CO_TRYV(co_await remove_finalizer(std::move(item), std::move(live), std::string(garbage::kForeground)));
    co_return client::WorkQueue::Outcome{};
  }

  Task<Result<client::WorkQueue::Outcome>> orphan(std::string uid) {
    client::WorkQueue::Outcome done;
    // A dependent not seen yet would be deleted instead of set free.
    if (!working_ || !all_synced()) co_return client::WorkQueue::Outcome{.again_after = std::chrono::seconds(1)};
    auto owner = node_of(uid);
    if (!owner) co_return done;
    for (const Node& dependent : graph_.dependents_of(uid)) {
      RD_CO_TRY(auto live, co_await fresh(dependent));
      if (!live) continue;
      RD_CO_TRYV(co_await write_owners(dependent, *live,
                                       [&](meta::OwnerReference& reference) { return reference.uid != uid; }));
    }
    RD_CO_TRY(auto live, co_await fresh(*owner));
    if (live) RD_CO_TRYV(co_await remove_finalizer(*owner, std::move(*live), std::string(garbage::kOrphan)));
    co_return done;
  }

  static bool has_finalizer(const meta::ObjectMeta& m, std::string_view name) {
    return std::find(m.finalizers.begin(), m.finalizers.end(), name) != m.finalizers.end();
  }

  // The kind that a reference names, in the version that is watched; null when the server knows none.
  const client::ApiResource* resource_of(const meta::OwnerReference& reference) const {
    size_t slash = reference.apiVersion.find('/');
    std::string_view group =
        slash == std::string::npos ? std::string_view() : std::string_view(reference.apiVersion).substr(0, slash);
    for (const auto& monitor : monitors_) {
      if (monitor->running && monitor->resource.kind == reference.kind && monitor->resource.group == group)
        return &monitor->resource;
    }
    return nullptr;
  }
  bool owner_is_namespaced(const meta::OwnerReference& reference) const {
    const client::ApiResource* resource = resource_of(reference);
    return resource != nullptr && resource->namespaced;
  }

  Task<Result<OwnerState>> look_at_owner(Node item, meta::OwnerReference reference) {
    std::string absent_key = reference.uid + "/" + item.namespace_;
    if (absent_.contains(absent_key)) co_return OwnerState::Dangling;
    const client::ApiResource* known = resource_of(reference);
    if (known == nullptr) {
      co_return service_unavailable(
          fmt::format("no matches for kind \"{}\" in version \"{}\"", reference.kind, reference.apiVersion));
    }
    client::ApiResource resource = *known;
    auto live = co_await api_.get_metadata(resource.row(), resource.namespaced ? item.namespace_ : "", reference.name);
    if (!live && !live.error().is("NotFound")) co_return Error(live.error());
    if (live && live->uid == reference.uid) {
      bool waits = is_deleting(*live) && has_finalizer(*live, garbage::kForeground);
      co_return waits ? OwnerState::Waiting : OwnerState::Solid;
    }
    // An owner with that uid lives elsewhere: an owner can't be in another namespace.
    if (graph_.present(reference.uid)) co_await report_wrong_namespace(item, reference);
    absent_.insert(absent_key);
    absent_order_.push_back(std::move(absent_key));
    while (absent_order_.size() > kAbsentRemembered) {
      absent_.erase(absent_order_.front());
      absent_order_.pop_front();
    }
    co_return OwnerState::Dangling;
  }

  Task<void> report_wrong_namespace(Node item, meta::OwnerReference reference) {
    client::ApiResource resource = resource_of(item);
    core::ObjectReference about;
    about.kind = resource.kind;
    about.apiVersion = resource.group.empty() ? resource.version : resource.group + "/" + resource.version;
    about.namespace_ = item.namespace_;
    about.name = item.name;
    about.uid = item.uid;
    co_await events_.record(std::move(about), "Warning", "OwnerRefInvalidNamespace",
                            fmt::format("ownerRef [{}/{}, namespace: {}, name: {}, uid: {}] does not exist in "
                                        "namespace \"{}\"",
                                        reference.apiVersion, reference.kind, item.namespace_, reference.name,
                                        reference.uid, item.namespace_));
  }

  // Writes the owner references that `keep` lets stay (and may change); against the version that was looked at.
  Task<Result<void>> write_owners(Node item, meta::ObjectMeta live, std::function<bool(meta::OwnerReference&)> keep) {
    std::string list;
    size_t kept = 0;
    for (meta::OwnerReference& reference : live.ownerReferences) {
      if (!keep(reference)) continue;
      list += (kept++ > 0 ? "," : "") + schema::to_json(reference);
    }
    client::ApiResource resource = resource_of(item);
    auto written = co_await api_.patch_raw(
        resource.row(), item.namespace_, item.name, client::PatchType::Merge,
        fmt::format(R"({{"metadata":{{"uid":"{}","resourceVersion":"{}","ownerReferences":{}}}}})", item.uid,
                    live.resourceVersion, kept > 0 ? "[" + list + "]" : "null"));
    if (!written && written.error().is("NotFound")) co_return Result<void>{};
    co_return written;
  }

  Task<Result<void>> remove_finalizer(Node item, meta::ObjectMeta live, std::string name) {
    if (!has_finalizer(live, name)) co_return Result<void>{};
    std::erase(live.finalizers, name);
    std::string list;
    for (const std::string& f : live.finalizers) list += (list.empty() ? "\"" : ",\"") + f + "\"";
    client::ApiResource resource = resource_of(item);
    auto written =
        co_await api_.patch_raw(resource.row(), item.namespace_, item.name, client::PatchType::Merge,
                                fmt::format(R"({{"metadata":{{"uid":"{}","resourceVersion":"{}","finalizers":{}}}}})",
                                            item.uid, live.resourceVersion, list.empty() ? "null" : "[" + list + "]"));
    if (!written && written.error().is("NotFound")) co_return Result<void>{};
    co_return written;
  }

  client::Client& api_;
  client::EventRecorder events_;
  Graph graph_;
  std::vector<std::unique_ptr<Monitor>> monitors_;  // an index stands for its resource and is never used again
  bool discovered_ = false;
  bool working_ = false;
  Event kinds_changed_;
  Event synced_;
  std::set<std::string> absent_;  // "UID/NAMESPACE" of owners known to be gone
  std::deque<std::string> absent_order_;
  client::WorkQueue queue_;
  Scope scope_;
};

}  // namespace

std::unique_ptr<Controller> make_garbage(client::Client& api) {
  return std::make_unique<GarbageCollector>(api);
}

}  // namespace redoubt::controllers
