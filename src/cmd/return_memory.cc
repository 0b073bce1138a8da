#include "cmd/return_memory.h"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string_view>

#include "base/blocking.h"

namespace redoubt::cmd {

namespace {

constexpr std::chrono::seconds kEvery{10};
// Growth that is worth the few milliseconds that trimming takes.
constexpr size_t kWorthBytes = 4 << 20;

size_t resident_bytes() {
  int fd = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[128];
  ssize_t size = ::read(fd, text, sizeof text);
  ::close(fd);
  // "SIZE RESIDENT ...", in pages.
  std::string_view rest(text, size > 0 ? static_cast<size_t>(size) : 0);
  rest.remove_prefix(std::min(rest.find(' ') + 1, rest.size()));
  size_t pages = 0;
  std::from_chars(rest.data(), rest.data() + rest.size(), pages);
  return pages * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

Task<void> return_memory() {
  size_t trimmed_at = resident_bytes(), used_then = ::mallinfo2().uordblks;
  while (true) {
    co_await sleep_for(kEvery);
    size_t resident = resident_bytes();
    trimmed_at = std::min(trimmed_at, resident);
    // What was in use when it was last looked at, and is free now, is not seen in what is resident.
    bool freed = ::mallinfo2().uordblks + kWorthBytes < used_then;
    if (resident < trimmed_at + kWorthBytes && !freed) continue;
    co_await run_blocking([] { return ::malloc_trim(0); });
    trimmed_at = resident_bytes();
    used_then = ::mallinfo2().uordblks;
  }
}

}  // namespace redoubt::cmd
