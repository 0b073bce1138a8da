#include "apiserver/audit/rotating_file.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/blocking.h"
#include "base/log.h"
#include "base/time.h"

namespace redoubt::apiserver::audit {

namespace {

namespace fs = std::filesystem;

Error file_error(std::string_view what, const std::string& path) {
  return service_unavailable(fmt::format("the audit log {}: {}: {}", path, what, strerror(errno)));
}

// "audit" and ".log" of "/x/audit.log".
std::pair<std::string, std::string> split_name(const fs::path& path) {
  return {path.stem().string(), path.extension().string()};
}

std::string backup_path(const std::string& path, Timestamp at) {
  auto [stem, extension] = split_name(path);
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
  std::string stamp = fmt::format("{:%Y-%m-%dT%H-%M-%S}.{:03}", fmt::gmtime(static_cast<time_t>(ms / 1000)), ms % 1000);
  return (fs::path(path).parent_path() / fmt::format("{}-{}{}", stem, stamp, extension)).string();
}

struct Backup {
  fs::path path;
  std::string stamp;  // sorts by time
  bool compressed = false;
};

// The rotated files beside `path`, newest first.
std::vector<Backup> backups(const std::string& path) {
  auto [stem, extension] = split_name(path);
  std::string prefix = stem + "-";
  std::vector<Backup> out;
  std::error_code error;
  fs::path folder = fs::path(path).parent_path();
  for (const auto& entry : fs::directory_iterator(folder.empty() ? "." : folder, error)) {
    std::string name = entry.path().filename().string();
    bool compressed = name.ends_with(".gz");
    std::string_view rest = name;
    if (compressed) rest.remove_suffix(3);
    if (!rest.starts_with(prefix) || !rest.ends_with(extension) || rest.size() < prefix.size() + extension.size())
      continue;
    rest = rest.substr(prefix.size(), rest.size() - prefix.size() - extension.size());
    if (rest.size() != 23 || rest[10] != 'T') continue;  // 2026-01-02T03-04-05.678
    out.push_back({entry.path(), std::string(rest), compressed});
  }
  std::sort(out.begin(), out.end(), [](const Backup& a, const Backup& b) { return a.stamp > b.stamp; });
  return out;
}

// Replaces a file by its .gz; leaves it as it is when anything fails.
bool compress_file(const fs::path& path) {
  fs::path target = path.string() + ".gz";
  int in = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (in < 0) return false;
  int out = ::open(target.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  gzFile gz = out < 0 ? nullptr : gzdopen(out, "wb");
  bool ok = gz != nullptr;
  if (!ok && out >= 0) ::close(out);
  std::vector<char> buffer(256 * 1024);
  while (ok) {
    ssize_t n = ::read(in, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      ok = n == 0;
      break;
    }
    ok = gzwrite(gz, buffer.data(), static_cast<unsigned>(n)) == n;
  }
  ::close(in);
  if (gz != nullptr) ok = gzclose(gz) == Z_OK && ok;
  std::error_code error;
  fs::remove(ok ? path : target, error);
  return ok;
}

void tidy_up(const RotationOptions& options) {
  std::vector<Backup> all = backups(options.path);
  std::error_code error;
  std::string oldest;
  if (options.max_age_days > 0) {
    auto limit = now() - std::chrono::days(options.max_age_days);
    std::string name = fs::path(backup_path(options.path, limit)).filename().string();
    oldest = name.substr(split_name(options.path).first.size() + 1, 23);
  }
  std::vector<Backup> kept;
  for (Backup& backup : all) {
    bool too_many = options.max_backups > 0 && kept.size() >= static_cast<size_t>(options.max_backups);
    if (too_many || backup.stamp < oldest) {
      fs::remove(backup.path, error);
    } else {
      kept.push_back(std::move(backup));
    }
  }
  if (!options.compress) return;
  for (const Backup& backup : kept) {
    if (!backup.compressed && !compress_file(backup.path))
      log_warning("audit: compressing a rotated log failed", {{"file", backup.path.string()}});
  }
}

}  // namespace

Result<std::unique_ptr<RotatingFile>> RotatingFile::open(RotationOptions options) {
  std::unique_ptr<RotatingFile> out(new RotatingFile(std::move(options)));
  if (out->options_.path == "-") {
    out->fd_ = STDOUT_FILENO;
    return out;
  }
  fs::path folder = fs::path(out->options_.path).parent_path();
  std::error_code error;
  if (!folder.empty() && !fs::exists(folder, error)) {
    fs::create_directories(folder, error);
    if (error)
      return service_unavailable(
          fmt::format("the audit log {}: can't make its folder: {}", out->options_.path, error.message()));
    fs::permissions(folder, fs::perms::owner_all, error);
  }
  RD_TRYV(out->open_current());
  out->tidy();
  return out;
}

RotatingFile::~RotatingFile() {
  if (fd_ >= 0 && options_.path != "-") ::close(fd_);
}

Result<void> RotatingFile::open_current() {
  fd_ = ::open(options_.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd_ < 0) return file_error("open", options_.path);
  struct stat info{};
  size_ = ::fstat(fd_, &info) == 0 ? static_cast<size_t>(info.st_size) : 0;
  return {};
}

Result<void> RotatingFile::rotate() {
  ::close(fd_);
  fd_ = -1;
  // A name of its own, and a later one than the last: several are made within a millisecond, and one of them may be
  // tidied away already, whose name would now be free again.
  Timestamp at = std::max(now(), last_rotation_ + std::chrono::milliseconds(1));
  std::string target = backup_path(options_.path, at);
  std::error_code error;
  while (fs::exists(target, error) || fs::exists(target + ".gz", error)) {
    at += std::chrono::milliseconds(1);
    target = backup_path(options_.path, at);
  }
  last_rotation_ = at;
  if (::rename(options_.path.c_str(), target.c_str()) != 0) {
    Error failed = file_error("rotate", options_.path);
    RD_TRYV(open_current());
    return failed;
  }
  RD_TRYV(open_current());
  tidy();
  return {};
}

void RotatingFile::tidy() const {
  if (options_.max_age_days == 0 && options_.max_backups == 0 && !options_.compress) return;
  if (to_tidy_->fetch_add(1) > 0) return;  // whoever is at it sees that there is more
  post_blocking([options = options_, pending = to_tidy_] {
    int seen;
    do {
      seen = pending->load();
      tidy_up(options);
    } while (pending->fetch_sub(seen) != seen);
  });
}

Result<void> RotatingFile::write(std::string_view lines) {
  if (fd_ < 0) RD_TRYV(open_current());  // a rotation failed half-way
  if (options_.path != "-" && options_.max_size_bytes > 0 && size_ > 0 &&
      size_ + lines.size() > options_.max_size_bytes) {
    if (auto rotated = rotate(); !rotated) {
      if (fd_ < 0) return rotated;
      log_error("audit: the log can't be rotated; it goes on growing", {{"error", rotated.error().message()}});
    }
    torn_ = false;
  }
  std::string healed;
  if (torn_) {
    healed = "\n" + std::string(lines);
    lines = healed;
  }
  bool begun = false;
  while (!lines.empty()) {
    ssize_t n = ::write(fd_, lines.data(), lines.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      torn_ = torn_ || begun;
      return file_error("write", options_.path);
    }
    begun = true;
    size_ += static_cast<size_t>(n);
    lines.remove_prefix(static_cast<size_t>(n));
  }
  torn_ = false;
  return {};
}

}  // namespace redoubt::apiserver::audit
