#include "store/sqlite/sqlite_store.h"

#include <pthread.h>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <map>
#include <thread>

#include "base/log.h"
#include "base/metrics.h"
#include "base/time.h"
#include "store/event_log.h"
#include "store/map_snapshot.h"
#include "store/object_map.h"
#include "store/sqlite/database.h"

namespace redoubt::store {

namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kMaxBatch = 512;  // writes in one transaction
constexpr std::chrono::seconds kCompactEvery{30};
constexpr size_t kCompactStep = 2000;  // rows deleted in one transaction, so that writers wait little
constexpr size_t kUndoLimit = 20'000;  // events undone for a list at an old revision

int64_t wall_ms() {
  return std::chrono::duration_cast<milliseconds>(now().time_since_epoch()).count();
}

const std::shared_ptr<const ObjectMap>& empty_map() {
  static const auto empty = std::make_shared<const ObjectMap>();
  return empty;
}

// One resource: its newest map and its log. The map changes hands by an atomic pointer.
struct ResourceState {
  explicit ResourceState(std::string n, size_t capacity, Revision start)
      : name(std::move(n)), log(std::make_shared<EventLog>(capacity, start)) {
    current.store(std::make_shared<const ObjectMap>());
  }
  std::string name;
  std::atomic<std::shared_ptr<const ObjectMap>> current;
  std::shared_ptr<EventLog> log;
};

using Answer = std::function<void(std::expected<Committed, CommitError>)>;

struct Pending {
  Write write;
  Answer answer;
};

struct CompactRequest {
  Revision revision;
  std::function<void(Result<void>)> answer;
};

class SqliteStore : public Store {
 public:
  explicit SqliteStore(SqliteOptions options) : options_(std::move(options)) {
    resources_.store(std::make_shared<const ResourceTable>());
  }
  ~SqliteStore() override {
    {
      std::lock_guard lock(queue_mutex_);
      stopping_ = true;
    }
    queue_grew_.notify_one();
    if (committer_.joinable()) committer_.join();
  }

  Result<void> open() {
    RD_TRY(database_, Database::open(options_.path));
    RD_TRY(compacted_, database_->compacted());
    revision_ = compacted_;
    std::map<std::string, std::unique_ptr<ObjectMapBuilder>> builders;
    std::map<std::string, std::vector<EventPtr>> events;
    Unreadable unreadable;
    RD_TRYV(database_->load([&](const Database::Row& row) -> Result<void> {
      std::string resource(row.resource);
      auto& builder = builders[resource];
      if (!builder) builder = std::make_unique<ObjectMapBuilder>(ObjectMap());
      auto object = std::make_shared<Object>();
      object->key = row.key;
      if (!read_value(row, *object, *builder, unreadable)) return {};
      object->revision = row.revision;
      object->create_revision = row.create_revision;
      RD_TRYV(options_.index(*object, resource));
      auto event = std::make_shared<Event>();
      event->revision = row.revision;
      event->object = object;
      event->previous = builder->find(row.key);
      event->type = row.deleted ? Event::Type::Deleted : event->previous ? Event::Type::Modified : Event::Type::Added;
      if (event->previous) superseded_.push_back({event->previous->revision, row.time_ms});
      if (row.deleted) {
        superseded_.push_back({row.revision, row.time_ms});
        builder->erase(row.key);
      } else {
        builder->put(object);
      }
      if (row.revision > compacted_) events[resource].push_back(std::move(event));
      revision_ = std::max(revision_, row.revision);
      return {};
    }));
    if (!unreadable.empty()) {
      const Status& first = unreadable.begin()->second.why;
      return internal_error(fmt::format("the database {}: {} of its values can't be read; the first: {}", options_.path,
                                        unreadable.size(), first.message()));
    }
    for (auto& [resource, builder] : builders) {
      // What could not be read any more is no history to watch through.
      std::erase_if(events[resource], [this](const EventPtr& event) { return event->revision <= compacted_; });
      ResourceState& state = this->resource(resource);
      state.current.store(std::make_shared<const ObjectMap>(builder->take()));
      state.log->append(std::move(events[resource]));
    }
    published_.store(revision_);
    committer_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "committer");
      run();
    });
    return {};
  }

  Task<std::expected<Committed, CommitError>> commit(Write write) override {
    auto executor = co_await asio::this_coro::executor;
    std::optional<std::expected<Committed, CommitError>> outcome;
    co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
        [&](auto handler) {
          auto shared = std::make_shared<decltype(handler)>(std::move(handler));
          enqueue({std::move(write), [executor, shared, &outcome](std::expected<Committed, CommitError> result) {
                     // The caller's frame waits for exactly this: `outcome` is alive until the handler runs.
                     asio::post(executor, [shared, &outcome, result = std::move(result)]() mutable {
                       outcome.emplace(std::move(result));
                       std::move (*shared)();
                     });
                   }});
        },
        asio::use_awaitable);
    co_return std::move(*outcome);
  }

  SnapshotPtr snapshot(std::string_view name) const override {
    // The revision is read first: the map may be newer than it says, never older.
    Revision revision = published_.load(std::memory_order_acquire);
    const ResourceState* state = find(name);
    if (state == nullptr) return std::make_shared<MapSnapshot>(empty_map(), revision);
    return std::make_shared<MapSnapshot>(state->current.load(), revision);
  }

  Result<SnapshotPtr> snapshot_at(std::string_view name, Revision revision) const override {
    if (revision > published_.load())
      return timeout(fmt::format("Too large resource version: {}, current: {}", revision, published_.load()), 1);
    const ResourceState* state = find(name);
    auto expired = [] { return gone("The resourceVersion for the provided list is too old."); };
    if (state == nullptr) {
      if (revision < compacted_revision_.load()) return expired();
      return std::make_shared<MapSnapshot>(empty_map(), revision);
    }
    // The newest state with the events since then undone. The map is taken before the log: events published in between
    // are undone without harm, because undoing restores what was before.
    auto map = state->current.load();
    std::vector<EventPtr> back;
    if (!state->log->read_back(revision, back) || back.size() > kUndoLimit) return expired();
    if (back.empty()) return std::make_shared<MapSnapshot>(map, revision);
    ObjectMapBuilder builder(*map);
    for (const EventPtr& event : back) {
      if (event->previous) {
        builder.put(event->previous);
      } else {
        builder.erase(event->object->key);
      }
    }
    return std::make_shared<MapSnapshot>(std::make_shared<const ObjectMap>(builder.take()), revision);
  }

  Result<std::unique_ptr<Cursor>> watch(std::string_view name, Revision after) override;

  Revision current_revision() const override { return published_.load(std::memory_order_acquire); }

  Task<Result<void>> compact(Revision revision) override {
    auto executor = co_await asio::this_coro::executor;
    std::optional<Result<void>> outcome;
    co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
        [&](auto handler) {
          auto shared = std::make_shared<decltype(handler)>(std::move(handler));
          {
            std::lock_guard lock(queue_mutex_);
            compactions_.push_back({revision, [executor, shared, &outcome](Result<void> result) {
                                      asio::post(executor, [shared, &outcome, result = std::move(result)]() mutable {
                                        outcome.emplace(std::move(result));
                                        std::move (*shared)();
                                      });
                                    }});
          }
          queue_grew_.notify_one();
        },
        asio::use_awaitable);
    co_return std::move(*outcome);
  }

  bool stale(std::string_view resource, const Object& object) const override {
    return options_.transformer != nullptr && options_.transformer->current_seal(resource) != object.seal;
  }

  Result<void> healthy() const override {
    std::lock_guard lock(health_mutex_);
    if (!disk_error_.empty()) return service_unavailable(disk_error_);
    return {};
  }

 private:
  // Values that the transformer refused, by key: fatal, unless something newer under the key can be read.
  struct Refused {
    Status why;
    Revision revision = 0;
    int64_t time_ms = 0;
  };
  using Unreadable = std::map<std::string, Refused, std::less<>>;

  // The plain value of a row, for loading. False when the row is passed over: it can't be read (a key that was taken
  // away), and either something newer under its key decides, or it is a deletion, which needs no value.
  bool read_value(const Database::Row& row, Object& object, ObjectMapBuilder& builder, Unreadable& unreadable) {
    std::optional<Transformer::Opened> opened;
    if (options_.transformer != nullptr) {
      auto outcome = options_.transformer->open(row.resource, row.key, row.value);
      if (!outcome) {
        if (ObjectPtr previous = builder.find(row.key)) {
          superseded_.push_back({previous->revision, row.time_ms});
          builder.erase(row.key);
        }
        if (auto before = unreadable.find(row.key); before != unreadable.end()) {
          superseded_.push_back({before->second.revision, row.time_ms});
          unreadable.erase(before);
        }
        if (row.deleted) {
          superseded_.push_back({row.revision, row.time_ms});
        } else {
          unreadable[std::string(row.key)] = {outcome.error(), row.revision, row.time_ms};
        }
        compacted_ = std::max(compacted_, row.revision);
        revision_ = std::max(revision_, row.revision);
        return false;
      }
      opened = std::move(*outcome);
    }
    if (auto before = unreadable.find(row.key); before != unreadable.end()) {
      superseded_.push_back({before->second.revision, row.time_ms});
      unreadable.erase(before);
      // An event from here would not know what went before.
      compacted_ = std::max(compacted_, row.revision);
    }
    object.json = opened ? Bytes::take(std::move(opened->bytes)) : Bytes::copy(row.value);
    object.seal = opened ? opened->seal : 0;
    return true;
  }

  using ResourceTable = std::map<std::string, std::shared_ptr<ResourceState>, std::less<>>;

  const ResourceState* find(std::string_view name) const {
    auto table = resources_.load();
    auto it = table->find(name);
    return it == table->end() ? nullptr : it->second.get();
  }

  // States are never removed, so the reference stays good.
  ResourceState& resource(std::string_view name) {
    std::lock_guard lock(resources_mutex_);
    auto table = resources_.load();
    if (auto it = table->find(name); it != table->end()) return *it->second;
    auto grown = std::make_shared<ResourceTable>(*table);
    auto state =
        std::make_shared<ResourceState>(std::string(name), options_.log_events_per_resource,
                                        compacted_revision_.load() > 0 ? compacted_revision_.load() : compacted_);
    (*grown)[std::string(name)] = state;
    resources_.store(std::move(grown));
    return *state;
  }

  void enqueue(Pending pending) {
    bool was_empty;
    {
      std::lock_guard lock(queue_mutex_);
      was_empty = queue_.empty();
      queue_.push_back(std::move(pending));
    }
    if (was_empty) queue_grew_.notify_one();
  }

  void run() {
    compacted_revision_ = compacted_;
    auto next_compaction = steady_clock::now() + kCompactEvery;
    while (true) {
      std::vector<Pending> batch;
      std::vector<CompactRequest> compactions;
      {
        std::unique_lock lock(queue_mutex_);
        queue_grew_.wait_until(lock, next_compaction,
                               [this] { return !queue_.empty() || !compactions_.empty() || stopping_; });
        if (queue_.size() <= kMaxBatch) {
          batch = std::exchange(queue_, {});
        } else {
          batch.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.begin() + kMaxBatch));
          queue_.erase(queue_.begin(), queue_.begin() + kMaxBatch);
        }
        compactions = std::exchange(compactions_, {});
        if (stopping_ && batch.empty()) return;
      }
      if (!batch.empty()) write_batch(batch);
      for (CompactRequest& request : compactions) request.answer(compact_to(request.revision, true));
      if (steady_clock::now() >= next_compaction) {
        next_compaction = steady_clock::now() + kCompactEvery;
        compact_by_age();
      }
    }
  }

  struct Accepted {
    Committed committed;
    EventPtr event;
    ResourceState* state;
    Answer* answer;
  };

  // Checks a write against the state this batch builds; on success fills in the revision and queues its row.
  std::expected<Accepted, CommitError> accept(Pending& pending, ObjectMapBuilder& builder, ResourceState& state,
                                              int64_t time_ms) {
    Write& write = pending.write;
    ObjectPtr current = builder.find(write.key);
    switch (write.precondition) {
      case Write::Precondition::MustNotExist:
        if (current) return std::unexpected(CommitError{CommitFailure::AlreadyExists, "the key exists", current});
        break;
      case Write::Precondition::MustMatch:
        if (!current) return std::unexpected(CommitError{CommitFailure::NotFound, "the key does not exist", nullptr});
        if (current->revision != write.expected)
          return std::unexpected(CommitError{CommitFailure::Conflict, "the object has been modified", current});
        break;
      case Write::Precondition::Any:
        break;
    }
    bool remove = write.object == nullptr;
    if (remove && !current)
      return std::unexpected(CommitError{CommitFailure::NotFound, "the key does not exist", nullptr});
    Revision revision = revision_ + 1;
    std::shared_ptr<Object> object = remove ? write.final_state : write.object;
    if (!object) {
      // A delete without a final state shows the stored one with the delete's revision.
      object = std::make_shared<Object>();
      object->key = current->key;
      object->namespace_ = current->namespace_;
      object->name = current->name;
      object->uid = current->uid;
      object->labels = current->labels;
      object->fields = current->fields;
      object->resource_version_offset = current->resource_version_offset;
      std::string_view old = current->json;
      // `"resourceVersion":"N",` or, as the last member, `,"resourceVersion":"N"`: cut as it was put in.
      size_t at = current->resource_version_offset;
      size_t end = old.find('"', old.find(":\"", at) + 2) + 1;
      if (end < old.size() && old[end] == ',') ++end;
      object->json = Bytes::take(std::string(old.substr(0, at)) + std::string(old.substr(end)));
    }
    object->revision = revision;
    object->create_revision = current ? current->create_revision : revision;
    put_revision(*object);
    Database::Row row;
    row.revision = revision;
    row.create_revision = object->create_revision;
    row.deleted = remove;
    row.resource = state.name;
    row.key = object->key;
    row.value = object->json;
    row.time_ms = time_ms;
    std::optional<Transformer::Sealed> sealed;
    if (options_.transformer != nullptr) {
      auto outcome = options_.transformer->seal(state.name, object->key, object->json);
      if (!outcome) return std::unexpected(CommitError{CommitFailure::Encryption, outcome.error().message(), nullptr});
      sealed = std::move(*outcome);
      object->seal = sealed ? sealed->seal : 0;
      if (sealed) row.value = sealed->bytes;
    }
    if (auto inserted = database_->insert(row); !inserted)
      return std::unexpected(CommitError{CommitFailure::Unavailable, inserted.error().message(), nullptr});
    revision_ = revision;
    auto event = std::make_shared<Event>();
    event->revision = revision;
    event->object = object;
    event->previous = current;
    event->type = remove ? Event::Type::Deleted : current ? Event::Type::Modified : Event::Type::Added;
    if (remove) {
      builder.erase(write.key);
    } else {
      builder.put(object);
    }
    return Accepted{Committed{object, current, revision}, std::move(event), &state, &pending.answer};
  }

  static void put_revision(Object& object) {
    std::string_view old = object.json;
    size_t at = object.resource_version_offset;
    char text[64];
    auto end = fmt::format_to(text, "\"resourceVersion\":\"{}\"", object.revision);
    std::string_view member(text, static_cast<size_t>(end - text));
    bool last = at < old.size() && old[at] == '}';
    bool first = at > 0 && old[at - 1] == '{';
    std::string json;
    json.reserve(old.size() + member.size() + 1);
    json.append(old.substr(0, at));
    // The text before ends with a comma or the brace; before the closing brace the comma is ours to move.
    if (last && !first && json.back() != ',') json += ',';
    json.append(member);
    if (!last) json += ',';
    json.append(old.substr(at));
    object.json = Bytes::copy(json);
  }

  void write_batch(std::vector<Pending>& batch) {
    static Counter& commits = counter("redoubt_store_transactions_total", "Durable transactions of the store.");
    static Counter& writes = counter("redoubt_store_writes_total", "Writes made durable.");
    auto fail_all = [&](const std::string& why) {
      {
        std::lock_guard lock(health_mutex_);
        disk_error_ = why;
      }
      log_error("store: writing failed; nothing of the batch is kept", {{"error", why}, {"writes", batch.size()}});
      for (Pending& pending : batch) {
        if (pending.answer) pending.answer(std::unexpected(CommitError{CommitFailure::Unavailable, why, nullptr}));
      }
    };
    if (auto begun = database_->begin(); !begun) return fail_all(begun.error().message());
    Revision before = revision_;
    int64_t time_ms = wall_ms();
    std::map<ResourceState*, ObjectMapBuilder> builders;
    std::vector<Accepted> accepted;
    accepted.reserve(batch.size());
    for (Pending& pending : batch) {
      ResourceState& state = resource(pending.write.resource);
      auto it = builders.try_emplace(&state, *state.current.load()).first;
      auto outcome = accept(pending, it->second, state, time_ms);
      if (outcome) {
        accepted.push_back(std::move(*outcome));
      } else if (outcome.error().failure == CommitFailure::Unavailable) {
        database_->rollback();
        revision_ = before;
        return fail_all(outcome.error().message);
      } else if (accepted.empty()) {
        // Lost against what is published: the answer need not wait for the disk.
        pending.answer(std::unexpected(std::move(outcome.error())));
        pending.answer = nullptr;
      } else {
        late_.push_back({std::move(pending.answer), std::move(outcome.error())});
        pending.answer = nullptr;
      }
    }
    if (auto committed = database_->commit(); !committed) {
      database_->rollback();
      revision_ = before;
      late_.clear();
      return fail_all(committed.error().message());
    }
    commits.add();
    writes.add(accepted.size());
    {
      std::lock_guard lock(health_mutex_);
      disk_error_.clear();
    }
    publish(builders, accepted, time_ms);
    for (Accepted& one : accepted) (*one.answer)(std::move(one.committed));
    for (auto& [answer, error] : late_) answer(std::unexpected(std::move(error)));
    late_.clear();
  }

  void publish(std::map<ResourceState*, ObjectMapBuilder>& builders, const std::vector<Accepted>& accepted,
               int64_t time_ms) {
    std::map<ResourceState*, std::vector<EventPtr>> events;
    for (const Accepted& one : accepted) {
      events[one.state].push_back(one.event);
      if (one.event->previous) superseded_.push_back({one.event->previous->revision, time_ms});
      if (one.event->type == Event::Type::Deleted) superseded_.push_back({one.event->revision, time_ms});
    }
    for (auto& [state, builder] : builders) {
      if (events.contains(state)) state->current.store(std::make_shared<const ObjectMap>(builder.take()));
    }
    for (auto& [state, list] : events) state->log->append(std::move(list));
    // Last: who sees this revision sees everything up to it.
    published_.store(revision_, std::memory_order_release);
  }

  void compact_by_age() {
    int64_t limit = wall_ms() - std::chrono::duration_cast<milliseconds>(options_.history).count();
    Revision up_to = 0;
    for (const auto& [revision, time_ms] : superseded_) {
      if (time_ms > limit) break;
      up_to = std::max(up_to, revision);
    }
    if (up_to > compacted_revision_.load()) {
      if (auto done = compact_to(up_to, false); !done)
        log_warning("store: compaction failed", {{"error", done.error().message()}});
    }
  }

  // Forgets history up to `target`. `all`: in one go, however much it is.
  Result<void> compact_to(Revision target, bool all) {
    target = std::min(target, revision_);
    std::vector<Revision> gone_rows;
    while (!superseded_.empty() && superseded_.front().first <= target && (all || gone_rows.size() < kCompactStep)) {
      gone_rows.push_back(superseded_.front().first);
      superseded_.pop_front();
    }
    if (!all && !gone_rows.empty()) target = std::max(gone_rows.back(), compacted_revision_.load());
    RD_TRYV(database_->compact(gone_rows, std::max(target, compacted_revision_.load())));
    compacted_revision_ = std::max(target, compacted_revision_.load());
    auto table = resources_.load();
    for (const auto& [name, state] : *table) state->log->trim(compacted_revision_.load());
    return {};
  }

  friend class SqliteCursor;
  SqliteOptions options_;
  std::unique_ptr<Database> database_;
  std::atomic<std::shared_ptr<const ResourceTable>> resources_;
  std::mutex resources_mutex_;
  std::atomic<Revision> published_{0};
  std::atomic<Revision> compacted_revision_{0};

  std::mutex queue_mutex_;
  std::condition_variable queue_grew_;
  std::vector<Pending> queue_;
  std::vector<CompactRequest> compactions_;
  bool stopping_ = false;
  std::thread committer_;

  // The committer's own.
  Revision revision_ = 0;
  Revision compacted_ = 0;
  std::deque<std::pair<Revision, int64_t>>
      superseded_;  // rows that compaction may delete, with the time they lost their use
  std::vector<std::pair<Answer, CommitError>> late_;

  mutable std::mutex health_mutex_;
  std::string disk_error_;
};

class SqliteCursor : public Cursor {
 public:
  SqliteCursor(SqliteStore& store, std::shared_ptr<EventLog> log, Revision after)
      : store_(store), log_(std::move(log)), position_(after) {}

  Task<Result<std::vector<EventPtr>>> next(size_t max, milliseconds limit) override {
    if (!sleepers_) sleepers_ = log_->sleepers(co_await asio::this_coro::executor);
    auto deadline = steady_clock::now() + limit;
    while (true) {
      // Read before the log: what is published up to here is in it.
      Revision published = store_.current_revision();
      std::vector<EventPtr> out;
      if (dead_ || !log_->read(position_, max, out)) {
        dead_ = true;
        co_return gone(fmt::format("too old resource version: {} ({})", position_, log_->start()));
      }
      if (!out.empty()) {
        position_ = out.back()->revision;
        if (out.size() < max) position_ = std::max(position_, published);
        co_return out;
      }
      position_ = std::max(position_, published);
      auto left = deadline - steady_clock::now();
      if (left.count() <= 0) co_return std::vector<EventPtr>();
      co_await sleepers_->grown.wait_for(left);
    }
  }

  Revision position() const override { return position_; }

 private:
  SqliteStore& store_;
  std::shared_ptr<EventLog> log_;
  std::shared_ptr<EventLog::Sleepers> sleepers_;
  Revision position_;
  bool dead_ = false;
};

Result<std::unique_ptr<Cursor>> SqliteStore::watch(std::string_view name, Revision after) {
  ResourceState& state = resource(name);
  if (after > current_revision())
    return timeout(fmt::format("Too large resource version: {}, current: {}", after, current_revision()), 1);
  if (after < state.log->start())
    return gone(fmt::format("too old resource version: {} ({})", after, state.log->start()));
  return std::make_unique<SqliteCursor>(*this, state.log, after);
}

}  // namespace

Result<std::unique_ptr<Store>> open_sqlite_store(SqliteOptions options) {
  auto store = std::make_unique<SqliteStore>(std::move(options));
  RD_TRYV(store->open());
  return store;
}

}  // namespace redoubt::store
