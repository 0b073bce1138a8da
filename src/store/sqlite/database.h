// The file under the embedded store: one append-only table of revisions. Blocking; belongs to the committer thread.
#pragma once
#include <sqlite3.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "store/store.h"

namespace redoubt::store {

class Database {
 public:
  struct Row {
    Revision revision = 0;
    Revision create_revision = 0;
    bool deleted = false;
    std::string_view resource;
    std::string_view key;
    std::string_view value;  // complete JSON
    int64_t time_ms = 0;     // when it was written
  };

  // Creates the file (0600) and its tables. Refuses a file of a newer layout.
  static Result<std::unique_ptr<Database>> open(const std::string& path);
  ~Database();

  // All rows in order of revision.
  Result<void> load(const std::function<Result<void>(const Row&)>& each);
  Result<void> begin();
  Result<void> insert(const Row& row);
  Result<void> commit();  // durable on return
  void rollback();
  // Deletes these revisions and remembers up to where history is gone.
  Result<void> compact(const std::vector<Revision>& superseded, Revision compacted);
  Result<Revision> compacted();

 private:
  Database() = default;
  Result<void> run(const char* sql);
  Error failed(const char* what);
  sqlite3* db_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
  sqlite3_stmt* begin_ = nullptr;
  sqlite3_stmt* commit_ = nullptr;
  std::string path_;
};

}  // namespace redoubt::store
