#include "kubelet/server/log_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/blocking.h"

namespace redoubt::kubelet {

namespace {

constexpr size_t kPieceBytes = 64 * 1024;
constexpr size_t kMaxEntries = 10'000;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// The kernel resolves every step of the path, links included, below `root`.
int open_below(const std::string& root, const std::string& path) {
  Descriptor folder(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) return -1;
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, folder.get(), path.empty() ? "." : path.c_str(), &how, sizeof how));
}

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '"') {
      out += "&#34;";
    } else {
      out += c;
    }
  }
  return out;
}

std::string list_folder(int fd) {
  std::vector<std::string> names;
  DIR* folder = ::fdopendir(::dup(fd));
  if (folder == nullptr) return {};
  while (dirent* entry = ::readdir(folder)) {
    std::string name = entry->d_name;
    if (name == "." || name == ".." || names.size() >= kMaxEntries) continue;
    if (entry->d_type == DT_DIR) name += "/";
    names.push_back(std::move(name));
  }
  ::closedir(folder);
  std::ranges::sort(names);
  std::string out = "<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n";
  for (const std::string& name : names) {
    std::string link = net::percent_encode(name.ends_with('/') ? name.substr(0, name.size() - 1) : name);
    out += fmt::format("<a href=\"{}{}\">{}</a>\n", link, name.ends_with('/') ? "/" : "", escaped(name));
  }
  return out + "</pre>\n";
}

}  // namespace

Task<Result<void>> serve_log_file(net::Responder& responder, std::string root, std::string path, bool slash_at_end,
                                  bool head) {
  auto file = std::make_shared<Descriptor>(co_await run_blocking([root, path] { return open_below(root, path); }));
  struct stat info{};
  if (file->get() < 0 || ::fstat(file->get(), &info) != 0 || (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)))
    co_return Error(Status(404, "NotFound", "404 page not found"));
  net::Headers headers{{"x-content-type-options", "nosniff"}};
  if (S_ISDIR(info.st_mode)) {
    if (!slash_at_end) {
      std::string last = path.substr(path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1);
      headers.add("location", (last.empty() ? std::string("logs") : net::percent_encode(last)) + "/");
      (void)co_await responder.send(301, std::move(headers), {});
      co_return Result<void>{};
    }
    BytesList body;
    body.push_back(Bytes::take(co_await run_blocking([file] { return list_folder(file->get()); })));
    headers.add("content-type", "text/html; charset=utf-8");
    (void)co_await responder.send(200, std::move(headers), std::move(body));
    co_return Result<void>{};
  }
  headers.add("content-type", "text/plain; charset=utf-8");
  auto writer = co_await responder.start(200, std::move(headers));
  if (!writer || head) co_return Result<void>{};
  for (off_t at = 0;;) {
    auto piece = co_await run_blocking([file, at] {
      std::string out(kPieceBytes, '\0');
      ssize_t n = ::pread(file->get(), out.data(), out.size(), at);
      out.resize(n > 0 ? static_cast<size_t>(n) : 0);
      return out;
    });
    // A file that grows while it is read ends where it was when it was opened.
    if (piece.empty() || at >= info.st_size) break;
    at += static_cast<off_t>(piece.size());
    BytesList pieces;
    pieces.push_back(Bytes::take(std::move(piece)));
    if (!co_await (*writer)->write(std::move(pieces))) co_return Result<void>{};
  }
  (void)co_await (*writer)->finish();
  co_return Result<void>{};
}

}  // namespace redoubt::kubelet
