// A real OpenSSH server on loopback, with keys of its own in a temporary folder.
#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace redoubt::test {

inline std::string slurp(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void spit(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

class Sshd {
 public:
  Sshd() {
    char name[] = "/tmp/redoubt-sshd-XXXXXX";
    folder_ = ::mkdtemp(name);
    ::mkdir("/run/sshd", 0755);
    make_key("host");
    make_key("user");
    port_ = free_port();
    authorize("user");
    spit(folder_ + "/config", "Port " + std::to_string(port_) + "\nListenAddress 127.0.0.1\nHostKey " + folder_ +
                                  "/host\nPidFile none\nUsePAM no\n" +
                                  "StrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n" +
                                  "KbdInteractiveAuthentication no\nAuthorizedKeysFile " + folder_ +
                                  "/authorized\nAllowTcpForwarding local\nMaxStartups 200:30:400\n");
    start();
  }
  ~Sshd() {
    stop();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  void make_key(const std::string& name) {
    std::filesystem::remove(file(name));
    run("/usr/bin/ssh-keygen -q -t ed25519 -N '' -f " + file(name));
  }
  void authorize(const std::string& name) { spit(file("authorized"), slurp(file(name) + ".pub")); }
  std::string file(const std::string& name) const { return folder_ + "/" + name; }
  std::string public_key(const std::string& name) const { return slurp(file(name) + ".pub"); }
  uint16_t port() const { return port_; }

  void start() {
    std::string config = file("config");
    const char* argv[] = {"/usr/sbin/sshd", "-D", "-f", config.c_str(), "-E", log_.c_str(), nullptr};
    log_ = file("log");
    argv[5] = log_.c_str();
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    // A group of its own, so that its connections' processes end with it.
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attributes, 0);
    if (posix_spawn(&pid_, argv[0], nullptr, &attributes, const_cast<char**>(argv), environ) != 0) pid_ = 0;
    posix_spawnattr_destroy(&attributes);
    for (int i = 0; i < 500 && !answers(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_TRUE(answers()) << "sshd does not run: " << slurp(log_);
  }
  // The listener and every connection.
  void stop() {
    if (pid_ == 0) return;
    run("/usr/bin/pkill -KILL -P " + std::to_string(pid_) + " || true");
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

  static uint16_t free_port() {
    int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(fd, reinterpret_cast<sockaddr*>(&address), size);
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    ::close(fd);
    return ntohs(address.sin_port);
  }

 private:
  static void run(const std::string& command) { EXPECT_EQ(std::system(command.c_str()), 0) << command; }
  bool answers() const {
    int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bool out = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    return out;
  }

  std::string folder_, log_;
  uint16_t port_ = 0;
  pid_t pid_ = 0;
};

// A listener on loopback whose connections a thread each serves by `serve`.
class Listener {
 public:
  explicit Listener(std::function<void(int)> serve) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(fd_, reinterpret_cast<sockaddr*>(&address), size);
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    ::listen(fd_, 64);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, serve] {
      while (true) {
        int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) return;
        std::thread([fd, serve] {
          serve(fd);
          ::close(fd);
        }).detach();
      }
    });
  }
  ~Listener() {
    ::shutdown(fd_, SHUT_RDWR);
    thread_.join();
    ::close(fd_);
  }
  uint16_t port() const { return port_; }

  static void echo(int fd) {
    char buffer[65536];
    for (ssize_t n; (n = ::read(fd, buffer, sizeof buffer)) > 0;) {
      for (ssize_t at = 0; at < n;) {
        ssize_t w = ::send(fd, buffer + at, static_cast<size_t>(n - at), MSG_NOSIGNAL);
        if (w <= 0) return;
        at += w;
      }
    }
    ::shutdown(fd, SHUT_WR);
  }

 private:
  int fd_ = -1;
  uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace redoubt::test
