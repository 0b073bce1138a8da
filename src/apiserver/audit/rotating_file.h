// A log file that is rotated by size, with old ones removed by number and age and compressed on request, under the
// names that upstream's logger gives: audit.log -> audit-2026-01-02T03-04-05.678.log(.gz).
//
// Blocking; one thread at a time. Removing and compressing old files happens on the blocking pool, so that writing
// never waits for it. Files are 0600, a folder made for them 0700.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/time.h"

namespace redoubt::apiserver::audit {

struct RotationOptions {
  std::string path;      // "-": standard output, never rotated
  int max_age_days = 0;  // 0: kept for ever
  int max_backups = 0;   // 0: all are kept
  size_t max_size_bytes = 0;
  bool compress = false;
};

class RotatingFile {
 public:
  // Opens for appending, so that a path that can't be written is known at start. ServiceUnavailable says why.
  static Result<std::unique_ptr<RotatingFile>> open(RotationOptions options);
  ~RotatingFile();
  RotatingFile(const RotatingFile&) = delete;
  RotatingFile& operator=(const RotatingFile&) = delete;

  // Appends whole lines; rotates before when they would not fit. After a failure the next line starts on a fresh one.
  Result<void> write(std::string_view lines);

 private:
  explicit RotatingFile(RotationOptions options) : options_(std::move(options)) {}
  Result<void> open_current();
  Result<void> rotate();
  void tidy() const;

  RotationOptions options_;
  int fd_ = -1;
  size_t size_ = 0;
  bool torn_ = false;  // the last write ended within a line
  Timestamp last_rotation_{};
  std::shared_ptr<std::atomic<int>> to_tidy_ = std::make_shared<std::atomic<int>>(0);  // rotations not tidied up after
};

}  // namespace redoubt::apiserver::audit
