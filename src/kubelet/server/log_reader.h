// A container's log as the runtime writes it (CRI: `TIME STREAM P|F TEXT` a line), read for a client.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/task.h"
#include "base/time.h"

namespace redoubt::kubelet {

struct LogOptions {
  enum class Stream : uint8_t { All, Stdout, Stderr };
  Stream stream = Stream::All;
  bool follow = false;
  bool timestamps = false;
  std::optional<int64_t> tail_lines;
  std::optional<int64_t> limit_bytes;
  std::optional<Timestamp> since;
};

// One line of the file: nothing when it is not of that form.
struct LogLine {
  std::string_view time;
  std::string_view stream;  // "stdout" or "stderr"
  bool partial = false;
  std::string_view text;
};
std::optional<LogLine> parse_log_line(std::string_view line);

// Where the last `lines` complete lines begin.
size_t tail_offset(std::string_view content, int64_t lines);

// Writes the log in pieces until its end, or, following, until `running` says no and the file is read. A file that was
// rotated away is read to its end before the new one is begun; one that was cut off is begun anew. The next piece is
// read when `write` has taken the last. Belongs to a loop; file reads are small and come from the page cache.
Task<Result<void>> read_log(std::string path, LogOptions options, std::function<bool()> running,
                            std::function<Task<Result<void>>(std::string)> write);

}  // namespace redoubt::kubelet
