// The embedded store: SQLite in WAL mode with synchronous=FULL under the in-memory state.
#pragma once
#include <memory>
#include <string>

#include "store/store.h"

namespace redoubt::store {

struct SqliteOptions {
  std::string path;                         // the database file; its folder must exist
  size_t log_events_per_resource = 10'000;  // watchers further behind get 410
  std::chrono::seconds history{300};        // how long old revisions are kept on disk and in memory
  // Fills labels, fields, name, uid, ... of an object from its key and JSON, when loading.
  std::function<Result<void>(Object&, std::string_view resource)> index;
  // What values go through on their way to the disk and back; null: they are stored as they are. Outlives the store.
  const Transformer* transformer = nullptr;
};

// Opens (and creates) the database, loads everything, rebuilds the event logs from history. Blocking: call before the
// loops run. Errors say which file and what to do.
Result<std::unique_ptr<Store>> open_sqlite_store(SqliteOptions options);

}  // namespace redoubt::store
