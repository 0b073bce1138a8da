#include "store/sqlite/database.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace redoubt::store {

namespace {
constexpr int kLayout = 1;  // PRAGMA user_version
}

Error Database::failed(const char* what) {
  return service_unavailable(fmt::format("the database {}: {}: {}", path_, what, sqlite3_errmsg(db_)));
}

Result<void> Database::run(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return failed(sql);
  return {};
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
  std::unique_ptr<Database> out(new Database);
  out->path_ = path;
  // Made first, so that SQLite's own files take its mode over.
  int fd = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) return service_unavailable(fmt::format("can't open the database {}: {}", path, strerror(errno)));
  ::close(fd);
  if (sqlite3_open_v2(path.c_str(), &out->db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK)
    return out->failed("open");
  sqlite3_busy_timeout(out->db_, 5000);
  // One program owns the file: the lock tells a second server apart, and no shared-memory file is needed.
  for (const char* pragma : {"PRAGMA locking_mode=EXCLUSIVE", "PRAGMA page_size=8192", "PRAGMA journal_mode=WAL",
                             "PRAGMA synchronous=FULL", "PRAGMA secure_delete=FAST", "PRAGMA cache_size=-2000",
                             "PRAGMA wal_autocheckpoint=2000", "PRAGMA auto_vacuum=INCREMENTAL"}) {
    if (auto ok = out->run(pragma); !ok)
      return Error(ok.error().with_context("is another redoubt server running on this data"));
  }
  int layout = 0;
  sqlite3_stmt* query = nullptr;
  sqlite3_prepare_v2(out->db_, "PRAGMA user_version", -1, &query, nullptr);
  if (sqlite3_step(query) == SQLITE_ROW) layout = sqlite3_column_int(query, 0);
  sqlite3_finalize(query);
  if (layout > kLayout) {
    return service_unavailable(
        fmt::format("the database {} has layout {}, this program knows {}: it was written by a newer redoubt", path,
                    layout, kLayout));
  }
  RD_TRYV(
      out->run("CREATE TABLE IF NOT EXISTS revisions (revision INTEGER PRIMARY KEY, create_revision INTEGER NOT NULL, "
               "deleted INTEGER NOT NULL,"
               " time_ms INTEGER NOT NULL, resource TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL);"
               "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
               "PRAGMA user_version=1"));
  auto prepare = [&](const char* sql, sqlite3_stmt*& into) -> Result<void> {
    if (sqlite3_prepare_v3(out->db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &into, nullptr) != SQLITE_OK)
      return out->failed("prepare");
    return {};
  };
  RD_TRYV(prepare("INSERT INTO revisions VALUES (?,?,?,?,?,?,?)", out->insert_));
  RD_TRYV(prepare("BEGIN IMMEDIATE", out->begin_));
  RD_TRYV(prepare("COMMIT", out->commit_));
  return out;
}

Database::~Database() {
  sqlite3_finalize(insert_);
  sqlite3_finalize(begin_);
  sqlite3_finalize(commit_);
  sqlite3_close(db_);
}

Result<void> Database::load(const std::function<Result<void>(const Row&)>& each) {
  sqlite3_stmt* query = nullptr;
  if (sqlite3_prepare_v2(
          db_, "SELECT revision,create_revision,deleted,time_ms,resource,key,value FROM revisions ORDER BY revision",
          -1, &query, nullptr) != SQLITE_OK) {
    return failed("load");
  }
  std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)> guard(query, sqlite3_finalize);
  auto text = [query](int column) {
    return std::string_view(static_cast<const char*>(sqlite3_column_blob(query, column)),
                            static_cast<size_t>(sqlite3_column_bytes(query, column)));
  };
  int step;
  while ((step = sqlite3_step(query)) == SQLITE_ROW) {
    Row row;
    row.revision = static_cast<Revision>(sqlite3_column_int64(query, 0));
    row.create_revision = static_cast<Revision>(sqlite3_column_int64(query, 1));
    row.deleted = sqlite3_column_int(query, 2) != 0;
    row.time_ms = sqlite3_column_int64(query, 3);
    row.resource = text(4);
    row.key = text(5);
    row.value = text(6);
    RD_TRYV(each(row));
  }
  if (step != SQLITE_DONE) return failed("load");
  return {};
}

Result<void> Database::begin() {
  int result = sqlite3_step(begin_);
  sqlite3_reset(begin_);
  if (result != SQLITE_DONE) return failed("begin");
  return {};
}

Result<void> Database::insert(const Row& row) {
  sqlite3_bind_int64(insert_, 1, static_cast<sqlite3_int64>(row.revision));
  sqlite3_bind_int64(insert_, 2, static_cast<sqlite3_int64>(row.create_revision));
  sqlite3_bind_int(insert_, 3, row.deleted ? 1 : 0);
  sqlite3_bind_int64(insert_, 4, row.time_ms);
  sqlite3_bind_text(insert_, 5, row.resource.data(), static_cast<int>(row.resource.size()), SQLITE_STATIC);
  sqlite3_bind_text(insert_, 6, row.key.data(), static_cast<int>(row.key.size()), SQLITE_STATIC);
  sqlite3_bind_blob(insert_, 7, row.value.data(), static_cast<int>(row.value.size()), SQLITE_STATIC);
  int result = sqlite3_step(insert_);
  sqlite3_reset(insert_);
  if (result != SQLITE_DONE) return failed("insert");
  return {};
}

Result<void> Database::commit() {
  int result = sqlite3_step(commit_);
  sqlite3_reset(commit_);
  if (result != SQLITE_DONE) return failed("commit");
  return {};
}

void Database::rollback() {
  sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
}

Result<void> Database::compact(const std::vector<Revision>& superseded, Revision compacted) {
  RD_TRYV(begin());
  sqlite3_stmt* statement = nullptr;
  sqlite3_prepare_v2(db_, "DELETE FROM revisions WHERE revision=?", -1, &statement, nullptr);
  bool ok = true;
  for (Revision revision : superseded) {
    sqlite3_bind_int64(statement, 1, static_cast<sqlite3_int64>(revision));
    ok = ok && sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_reset(statement);
  }
  sqlite3_finalize(statement);
  std::string sql = fmt::format("INSERT OR REPLACE INTO meta VALUES ('compacted',{})", compacted);
  if (!ok || !run(sql.c_str())) {
    rollback();
    return failed("compact");
  }
  RD_TRYV(commit());
  return run("PRAGMA incremental_vacuum(500)");
}

Result<Revision> Database::compacted() {
  sqlite3_stmt* query = nullptr;
  if (sqlite3_prepare_v2(db_, "SELECT value FROM meta WHERE name='compacted'", -1, &query, nullptr) != SQLITE_OK)
    return failed("meta");
  Revision out = 0;
  if (sqlite3_step(query) == SQLITE_ROW) out = static_cast<Revision>(sqlite3_column_int64(query, 0));
  sqlite3_finalize(query);
  return out;
}

}  // namespace redoubt::store
