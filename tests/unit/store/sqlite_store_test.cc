#include "store/sqlite/sqlite_store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>

#include "store/object_map.h"

using namespace redoubt;
using namespace redoubt::store;
using namespace std::chrono_literals;

namespace {

struct Folder {
  std::string path = std::filesystem::temp_directory_path() / fmt::format("store-test-{}-{}", ::getpid(), counter++);
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  static inline int counter = 0;
};

std::unique_ptr<Store> open(const Folder& folder, size_t log = 10'000) {
  SqliteOptions options;
  options.path = folder.path + "/db";
  options.log_events_per_resource = log;
  options.index = [](Object& object, std::string_view) -> Result<void> {
    object.name = object.key;
    object.resource_version_offset = static_cast<uint32_t>(object.json.view().find("\"resourceVersion\""));
    return {};
  };
  auto store = open_sqlite_store(std::move(options));
  EXPECT_TRUE(store) << store.error().message();
  return std::move(*store);
}

Write write_of(std::string key, std::string value, Write::Precondition precondition, Revision expected = 0) {
  Write write;
  write.resource = "things";
  write.key = std::move(key);
  write.precondition = precondition;
  write.expected = expected;
  write.object = std::make_shared<Object>();
  write.object->key = write.key;
  write.object->json = Bytes::copy(R"({"metadata":{"value":")" + value + R"("}})");
  write.object->resource_version_offset = 13;
  return write;
}

Write delete_of(std::string key) {
  Write write;
  write.resource = "things";
  write.key = std::move(key);
  write.precondition = Write::Precondition::Any;
  return write;
}

void run(std::function<Task<void>(Executor)> body) {
  // One for all, longer there than the committer's thread, which may still be waking it when the task has ended.
  static boost::asio::io_context loop(1);
  loop.restart();
  Scope scope(loop.get_executor(), "test");
  scope.spawn(body(loop.get_executor()));
  loop.run();
}

Task<void> basics(Store& store) {
  auto made = co_await store.commit(write_of("/a", "1", Write::Precondition::MustNotExist));
  EXPECT_TRUE(made);
  EXPECT_EQ(made->object->json.view(),
            fmt::format(R"({{"metadata":{{"resourceVersion":"{}","value":"1"}}}})", made->revision));
  auto again = co_await store.commit(write_of("/a", "2", Write::Precondition::MustNotExist));
  EXPECT_FALSE(again);
  EXPECT_EQ(again.error().failure, CommitFailure::AlreadyExists);
  auto stale = co_await store.commit(write_of("/a", "2", Write::Precondition::MustMatch, made->revision + 7));
  EXPECT_EQ(stale.error().failure, CommitFailure::Conflict);
  auto changed = co_await store.commit(write_of("/a", "2", Write::Precondition::MustMatch, made->revision));
  EXPECT_TRUE(changed);
  EXPECT_EQ(changed->object->create_revision, made->revision);
  EXPECT_EQ(store.snapshot("things")->find("/a")->revision, changed->revision);
  // An old revision is the newest with the later events undone.
  auto old = store.snapshot_at("things", made->revision);
  EXPECT_TRUE(old);
  EXPECT_EQ((*old)->find("/a")->revision, made->revision);
  auto gone = co_await store.commit(delete_of("/a"));
  EXPECT_TRUE(gone);
  EXPECT_EQ(gone->object->json.view(),
            fmt::format(R"({{"metadata":{{"resourceVersion":"{}","value":"2"}}}})", gone->revision));
  EXPECT_EQ(store.snapshot("things")->size(), 0u);
  auto missing = co_await store.commit(delete_of("/a"));
  EXPECT_EQ(missing.error().failure, CommitFailure::NotFound);
  EXPECT_EQ(store.snapshot_at("things", 999).error().code(), 504);
}

Task<void> follow(Store& store, Revision from, size_t wanted, std::vector<Revision>& seen) {
  auto cursor = store.watch("things", from);
  EXPECT_TRUE(cursor);
  while (seen.size() < wanted) {
    auto events = co_await (*cursor)->next(7, 5s);
    EXPECT_TRUE(events);
    if (!events || events->empty()) co_return;
    for (const EventPtr& event : *events) seen.push_back(event->revision);
  }
}

Task<void> writer(Store& store, int id, int count) {
  for (int i = 0; i < count; ++i) {
    auto made = co_await store.commit(write_of(fmt::format("/{}/{}", id, i), "x", Write::Precondition::MustNotExist));
    EXPECT_TRUE(made);
  }
}

}  // namespace

TEST(SqliteStore, KeepsPreconditionsAndRevisions) {
  Folder folder;
  auto store = open(folder);
  run([&](Executor) { return basics(*store); });
}

TEST(SqliteStore, EveryWatcherSeesEveryEventOnceAndInOrder) {
  Folder folder;
  auto store = open(folder);
  std::vector<std::vector<Revision>> seen(5);
  run([&](Executor executor) -> Task<void> {
    return [](Executor e, Store& s, std::vector<std::vector<Revision>>& all) -> Task<void> {
      Scope scope(e, "watchers");
      for (auto& one : all) scope.spawn(follow(s, 0, 400, one));
      for (int id = 0; id < 4; ++id) scope.spawn(writer(s, id, 100));
      co_await scope.wait_idle();
    }(executor, *store, seen);
  });
  for (const auto& one : seen) {
    ASSERT_EQ(one.size(), 400u);
    for (size_t i = 0; i < one.size(); ++i) EXPECT_EQ(one[i], i + 1);
  }
}

TEST(SqliteStore, DropsWhoFallsOffTheLogWithGone) {
  Folder folder;
  auto store = open(folder, 10);
  run([&](Executor e) -> Task<void> {
    return [](Store& s) -> Task<void> {
      auto cursor = s.watch("things", 0);
      co_await writer(s, 0, 50);
      auto events = co_await (*cursor)->next(100, 1s);
      EXPECT_FALSE(events);
      EXPECT_EQ(events.error().code(), 410);
      EXPECT_EQ(s.watch("things", 5).error().code(), 410);
    }(*store);
  });
}

TEST(SqliteStore, ResumesWatchesAcrossARestartUntilCompacted) {
  Folder folder;
  {
    auto store = open(folder);
    run([&](Executor) { return writer(*store, 0, 20); });
  }
  auto store = open(folder);
  EXPECT_EQ(store->current_revision(), 20u);
  EXPECT_EQ(store->snapshot("things")->size(), 20u);
  std::vector<Revision> seen;
  run([&](Executor) { return follow(*store, 5, 15, seen); });
  EXPECT_EQ(seen.size(), 15u);
  run([&](Executor) -> Task<void> {
    return [](Store& s) -> Task<void> {
      EXPECT_TRUE(co_await s.compact(10));
      EXPECT_EQ(s.watch("things", 5).error().code(), 410);
      EXPECT_TRUE(s.watch("things", 12));
    }(*store);
  });
  store.reset();
  store = open(folder);
  EXPECT_EQ(store->watch("things", 5).error().code(), 410);
  EXPECT_EQ(store->snapshot("things")->size(), 20u);
}

TEST(SqliteStore, LosesNothingAcknowledgedWhenKilled) {
  Folder folder;
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  pid_t child = ::fork();
  if (child == 0) {
    auto store = open(folder);
    run([&](Executor) -> Task<void> {
      return [](Store& s, int out) -> Task<void> {
        for (uint32_t i = 0;; ++i) {
          auto made = co_await s.commit(write_of(fmt::format("/k{:06}", i), "x", Write::Precondition::MustNotExist));
          if (made && ::write(out, &i, sizeof i) < 0) co_return;
        }
      }(*store, pipe_ends[1]);
    });
    ::_exit(0);
  }
  ::close(pipe_ends[1]);
  uint32_t last = 0, number = 0;
  while (last < 200 && ::read(pipe_ends[0], &number, sizeof number) == sizeof number) last = number;
  ::kill(child, SIGKILL);
  while (::read(pipe_ends[0], &number, sizeof number) == sizeof number) last = number;
  ::waitpid(child, nullptr, 0);
  auto store = open(folder);
  auto snapshot = store->snapshot("things");
  for (uint32_t i = 0; i <= last; ++i) EXPECT_TRUE(snapshot->find(fmt::format("/k{:06}", i))) << i;
}

TEST(ObjectMap, KeepsOldVersionsWhileNewOnesChange) {
  ObjectMap map;
  std::vector<std::string> keys;
  for (int i = 0; i < 3000; ++i) keys.push_back(fmt::format("/p/{:05}", (i * 7919) % 3000));
  ObjectMapBuilder builder(map);
  for (const auto& key : keys) {
    auto object = std::make_shared<Object>();
    object->key = key;
    builder.put(object);
  }
  map = builder.take();
  EXPECT_EQ(map.size(), 3000u);
  ObjectMapBuilder second(map);
  for (int i = 0; i < 3000; i += 2) second.erase(fmt::format("/p/{:05}", i));
  ObjectMap smaller = second.take();
  EXPECT_EQ(smaller.size(), 1500u);
  EXPECT_EQ(map.size(), 3000u);
  EXPECT_TRUE(map.find("/p/00002"));
  EXPECT_FALSE(smaller.find("/p/00002"));
  std::string before;
  size_t count = 0;
  map.visit("/p/", "/p/01000", [&](const ObjectPtr& object) {
    EXPECT_LT(before, object->key);
    before = object->key;
    return ++count < 10;
  });
  EXPECT_EQ(count, 10u);
  EXPECT_EQ(before, "/p/01009");
}
