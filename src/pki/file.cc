#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/random.h"
#include "pki/certificate.h"

namespace redoubt::pki {

Result<void> write_file(const std::string& path, std::string_view content, int mode) {
  std::string temporary = fmt::format("{}.{}", path, random_suffix(8));
  auto failed = [&](const char* what) {
    int error = errno;
    ::unlink(temporary.c_str());
    return service_unavailable(fmt::format("can't {} {}: {}", what, path, std::strerror(error)));
  };
  int fd = ::open(temporary.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode);
  if (fd < 0) return failed("create");
  ::fchmod(fd, static_cast<mode_t>(mode));
  while (!content.empty()) {
    ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      ::close(fd);
      return failed("write");
    }
    content.remove_prefix(static_cast<size_t>(n));
  }
  if (::fsync(fd) != 0 || ::close(fd) != 0) return failed("write");
  if (::rename(temporary.c_str(), path.c_str()) != 0) return failed("rename");
  return {};
}

Result<std::string> read_file(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT) return Error(Status(404, "NotFound", fmt::format("{} does not exist", path)));
    return service_unavailable(fmt::format("can't read {}: {}", path, std::strerror(errno)));
  }
  std::string out;
  char buffer[16 * 1024];
  ssize_t n;
  while ((n = ::read(fd, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR)) {
    if (n > 0) out.append(buffer, static_cast<size_t>(n));
  }
  ::close(fd);
  if (n < 0) return service_unavailable(fmt::format("can't read {}: {}", path, std::strerror(errno)));
  return out;
}

}  // namespace redoubt::pki
