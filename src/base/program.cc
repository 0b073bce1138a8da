#include "base/program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>

namespace redoubt {

namespace {

constexpr std::chrono::seconds kPatience{10};
constexpr size_t kMaxOutputBytes = 256 * 1024;
constexpr size_t kShownErrorBytes = 300;
// All of it fits into the pipe's own buffer, so that writing it can't wait for the program.
constexpr size_t kMaxInputBytes = 32 * 1024;

struct Pipe {
  std::array<int, 2> ends{-1, -1};
  bool open() { return ::pipe2(ends.data(), O_CLOEXEC) == 0; }
  void close(size_t end) {
    if (ends[end] >= 0) ::close(ends[end]);
    ends[end] = -1;
  }
  ~Pipe() {
    close(0);
    close(1);
  }
};

}  // namespace

Result<std::string> run_program(const std::vector<std::string>& words, std::string_view input) {
  if (input.size() > kMaxInputBytes) return bad_request(fmt::format("{}: its input is too long", words.at(0)));
  Pipe in, out, err;
  if (!in.open() || !out.open() || !err.open())
    return service_unavailable(fmt::format("{} can't be started: {}", words.at(0), std::strerror(errno)));
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, in.ends[0], 0);
  posix_spawn_file_actions_adddup2(&files, out.ends[1], 1);
  posix_spawn_file_actions_adddup2(&files, err.ends[1], 2);
  // Sockets are opened by libraries that don't mark them: a program that goes on in the background would keep our
  // ports.
  posix_spawn_file_actions_addclosefrom_np(&files, 3);
  // Signals that this process blocks or ignores are nothing to the program.
  posix_spawnattr_t how;
  posix_spawnattr_init(&how);
  sigset_t none, broken_pipe;
  sigemptyset(&none);
  sigemptyset(&broken_pipe);
  sigaddset(&broken_pipe, SIGPIPE);
  posix_spawnattr_setsigmask(&how, &none);
  posix_spawnattr_setsigdefault(&how, &broken_pipe);
  posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_t pid = 0;
  int failed = ::posix_spawnp(&pid, argv[0], &files, &how, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&how);
  if (failed != 0)
    return service_unavailable(fmt::format("{} can't be started: {}", words.at(0), std::strerror(failed)));
  in.close(0);
  out.close(1);
  err.close(1);
  // A program that reads no input may be gone already; that shows in its exit code.
  [[maybe_unused]] ssize_t written = input.empty() ? 0 : ::write(in.ends[1], input.data(), input.size());
  in.close(1);
  std::string text, complaint;
  auto end = std::chrono::steady_clock::now() + kPatience;
  bool late = false;
  while (out.ends[0] >= 0 || err.ends[0] >= 0) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    std::array<pollfd, 2> wait{pollfd{out.ends[0], POLLIN, 0}, pollfd{err.ends[0], POLLIN, 0}};
    if (left <= 0 || ::poll(wait.data(), wait.size(), static_cast<int>(left)) == 0) {
      late = true;
      break;
    }
    std::array<char, 4096> buffer;
    for (size_t i = 0; i < 2; ++i) {
      if (wait[i].revents == 0) continue;
      Pipe& from = i == 0 ? out : err;
      std::string& into = i == 0 ? text : complaint;
      ssize_t n = ::read(from.ends[0], buffer.data(), buffer.size());
      if (n <= 0) {
        from.close(0);
      } else if (into.size() < kMaxOutputBytes) {
        into.append(buffer.data(), static_cast<size_t>(n));
      }
    }
  }
  if (late) ::kill(pid, SIGKILL);
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (late) return service_unavailable(fmt::format("{} did not end within ten seconds", words.at(0)));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return text;
  while (!complaint.empty() && complaint.back() == '\n') complaint.pop_back();
  return internal_error(fmt::format("{} failed: {}", words.at(0),
                                    complaint.empty() ? "it said nothing" : complaint.substr(0, kShownErrorBytes)));
}

}  // namespace redoubt
