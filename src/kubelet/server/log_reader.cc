#include "kubelet/server/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace redoubt::kubelet {

namespace {

constexpr size_t kPieceBytes = 32 * 1024;
constexpr std::chrono::milliseconds kPoll{100};
// Runtimes split lines at 16 KB; what is longer than this is no log of theirs, and is skipped.
constexpr size_t kMaxLineBytes = 1 << 20;

class File {
 public:
  explicit File(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  bool ok() const { return fd_ >= 0; }
  std::string read(off_t at, size_t most) const {
    std::string out(most, '\0');
    ssize_t n = ::pread(fd_, out.data(), most, at);
    out.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return out;
  }
  off_t size() const {
    struct stat s{};
    return ::fstat(fd_, &s) == 0 ? s.st_size : 0;
  }
  ino_t inode() const {
    struct stat s{};
    return ::fstat(fd_, &s) == 0 ? s.st_ino : 0;
  }

 private:
  int fd_;
};

// Reads backwards in blocks until enough line ends are seen.
off_t find_tail(const File& file, int64_t lines) {
  off_t end = file.size();
  int64_t seen = 0;
  for (off_t at = end; at > 0;) {
    off_t from = at > static_cast<off_t>(kPieceBytes) ? at - static_cast<off_t>(kPieceBytes) : 0;
    std::string block = file.read(from, static_cast<size_t>(at - from));
    for (size_t i = block.size(); i-- > 0;) {
      if (block[i] != '\n' || from + static_cast<off_t>(i) + 1 == end) continue;
      if (++seen == lines) return from + static_cast<off_t>(i) + 1;
    }
    at = from;
  }
  return 0;
}

}  // namespace

std::optional<LogLine> parse_log_line(std::string_view line) {
  LogLine out;
  size_t first = line.find(' ');
  size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  size_t third = second == std::string_view::npos ? second : line.find(' ', second + 1);
  if (second == std::string_view::npos) return std::nullopt;
  out.time = line.substr(0, first);
  out.stream = line.substr(first + 1, second - first - 1);
  if (out.stream != "stdout" && out.stream != "stderr") return std::nullopt;
  std::string_view tag = line.substr(second + 1, third == std::string_view::npos ? third : third - second - 1);
  out.partial = tag.starts_with('P');
  if (!out.partial && !tag.starts_with('F')) return std::nullopt;
  out.text = third == std::string_view::npos ? std::string_view() : line.substr(third + 1);
  return out;
}

size_t tail_offset(std::string_view content, int64_t lines) {
  if (lines <= 0) return content.size();
  int64_t seen = 0;
  for (size_t i = content.size(); i-- > 0;) {
    if (content[i] != '\n' || i + 1 == content.size()) continue;
    if (++seen == lines) return i + 1;
  }
  return 0;
}

Task<Result<void>> read_log(std::string path, LogOptions options, std::function<bool()> running,
                            std::function<Task<Result<void>>(std::string)> write) {
  auto file = std::make_unique<File>(path);
  if (!file->ok()) co_return not_found({"", "logs"}, path);
  off_t at = 0;
  bool rotated = false;  // the file at `path` is another one by now
  if (options.tail_lines) at = *options.tail_lines == 0 ? file->size() : find_tail(*file, *options.tail_lines);
  int64_t left = options.limit_bytes.value_or(INT64_MAX);
  std::string rest;  // an incomplete line
  bool in_partial = false;
  while (true) {
    // Asked before reading: what was written before the end is then read for certain.
    bool more_may_come = options.follow && running();
    std::string block = file->read(at, kPieceBytes);
    if (block.empty()) {
      if (rotated) {
        file = std::make_unique<File>(path);
        at = 0;
        rotated = false;
        rest.clear();
        continue;
      }
      if (file->size() < at) {
        at = 0;
        rest.clear();
        continue;
      }
      // The runtime may have begun a new file under the same name. What it still wrote to the old one between this read
      // and the change is read first.
      File again(path);
      if (again.ok() && again.inode() != file->inode()) {
        rotated = true;
        continue;
      }
      if (!more_may_come) co_return Result<void>{};
      co_await sleep_for(kPoll);
      continue;
    }
    at += static_cast<off_t>(block.size());
    rest += block;
    std::string out;
    size_t from = 0;
    for (size_t end; (end = rest.find('\n', from)) != std::string::npos; from = end + 1) {
      auto line = parse_log_line(std::string_view(rest).substr(from, end - from));
      if (!line) continue;
      if (options.stream != LogOptions::Stream::All &&
          (line->stream == "stdout") != (options.stream == LogOptions::Stream::Stdout))
        continue;
      if (options.since) {
        auto time = parse_rfc3339(line->time);
        if (time && *time < *options.since) continue;
      }
      if (options.timestamps && !in_partial) out += std::string(line->time) + " ";
      out += line->text;
      in_partial = line->partial;
      if (!line->partial) out += '\n';
    }
    rest.erase(0, from);
    if (rest.size() > kMaxLineBytes) rest.clear();
    if (static_cast<int64_t>(out.size()) >= left) {
      out.resize(static_cast<size_t>(left));
      co_return co_await write(std::move(out));
    }
    left -= static_cast<int64_t>(out.size());
    if (!out.empty()) {
      if (auto ok = co_await write(std::move(out)); !ok) co_return ok;
    }
  }
}

}  // namespace redoubt::kubelet
