#include "cmd/check.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include "base/time.h"
#include "paths/chain.h"
#include "paths/handshake.h"
#include "pki/cluster_pki.h"

namespace redoubt::cmd {

namespace {

constexpr long kCgroup2Magic = 0x63677270;
constexpr uint64_t kServerFreeBytes = 2ULL << 30;  // the database, its log, audit files
constexpr uint64_t kNodeFreeBytes = 10ULL << 30;   // images; kubelets evict below a tenth

std::string read_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

class Checks {
 public:
  std::vector<CheckResult> results;
  void ok(const char* name, std::string saw) { results.push_back({name, CheckOutcome::Ok, std::move(saw), ""}); }
  void warn(const char* name, std::string saw, std::string remedy) {
    results.push_back({name, CheckOutcome::Warning, std::move(saw), std::move(remedy)});
  }
  void fail(const char* name, std::string saw, std::string remedy) {
    results.push_back({name, CheckOutcome::Failed, std::move(saw), std::move(remedy)});
  }
};

void kernel(Checks& c) {
  utsname name{};
  uname(&name);
  int major = 0, minor = 0;
  std::sscanf(name.release, "%d.%d", &major, &minor);
  if (major < 5 || (major == 5 && minor < 10))
    c.fail("kernel", name.release, "Linux 5.10 or newer is needed: upgrade the system.");
  else
    c.ok("kernel", name.release);
}

void root(Checks& c) {
  if (geteuid() == 0)
    c.ok("user", "root");
  else
    c.fail("user", fmt::format("uid {}", geteuid()), "A node starts containers and changes the network: run as root.");
}

void cgroups(Checks& c) {
  struct statfs fs{};
  if (::statfs("/sys/fs/cgroup", &fs) != 0 || fs.f_type != kCgroup2Magic)
    return c.fail("cgroups", "no cgroup v2 at /sys/fs/cgroup",
                  "Boot with systemd.unified_cgroup_hierarchy=1, or a newer distribution.");
  std::string controllers = " " + read_line("/sys/fs/cgroup/cgroup.controllers") + " ", missing;
  for (const char* wanted : {"cpu", "memory", "pids"}) {
    if (controllers.find(fmt::format(" {} ", wanted)) == std::string::npos)
      missing += fmt::format("{}{}", missing.empty() ? "" : ", ", wanted);
  }
  if (!missing.empty())
    c.warn("cgroups", "v2, without " + missing,
           "Limits of pods can't be kept without these controllers: add cgroup_enable=memory (or its like) to the "
           "kernel's command line.");
  else
    c.ok("cgroups", "v2 with cpu, memory, pids");
}

void forwarding(Checks& c) {
  if (read_line("/proc/sys/net/ipv4/ip_forward") == "1")
    c.ok("forwarding", "net.ipv4.ip_forward is 1");
  else
    c.warn("forwarding", "net.ipv4.ip_forward is 0",
           "The agent sets it when it starts; if it may not, run: sysctl -w net.ipv4.ip_forward=1");
}

void nftables(Checks& c) {
  int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 12 /* NETLINK_NETFILTER */);
  if (fd < 0)
    return c.fail("nftables", std::strerror(errno),
                  "The kernel has no netfilter: load nf_tables, or use another kernel.");
  ::close(fd);
  c.ok("nftables", "netfilter is there");
}

void containerd(Checks& c, const std::string& path) {
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::strncpy(to.sun_path, path.c_str(), sizeof to.sun_path - 1);
  bool there = fd >= 0 && ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  std::string error = std::strerror(errno);
  if (fd >= 0) ::close(fd);
  if (there)
    c.ok("containerd", path + " answers");
  else
    c.warn("containerd", fmt::format("{}: {}", path, error),
           "Start containerd (systemctl start containerd), name its socket with --containerd, or let the agent run one "
           "(--manage-containerd).");
}

bool executable(const char* name) {
  for (const char* folder : {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
                             "/opt/cni/bin", "/usr/lib/cni"}) {
    if (::access(fmt::format("{}/{}", folder, name).c_str(), X_OK) == 0) return true;
  }
  return false;
}

void programs(Checks& c) {
  std::string missing;
  if (!executable("runc") && !executable("crun")) missing = "runc (or crun)";
  for (const char* name : {"bridge", "host-local", "loopback"}) {
    if (!executable(name)) missing += fmt::format("{}{} (CNI)", missing.empty() ? "" : ", ", name);
  }
  if (missing.empty())
    c.ok("programs", "runtime and CNI plug-ins are there");
  else
    c.fail("programs", "missing: " + missing, "Install the packages runc and containernetworking-plugins.");
}

// Free, or held by the server whose data folder this is.
void port(Checks& c, uint16_t number, const std::string& data_dir) {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int yes = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(number);
  bool is_free = fd >= 0 && ::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0;
  if (fd >= 0) ::close(fd);
  if (is_free) return c.ok("port", fmt::format("{} is free", number));
  paths::Handshake h = paths::shake_hands({"127.0.0.1", number}, {});
  auto ca = pki::read_file(data_dir + "/pki/ca.crt");
  if (h.done && ca && paths::judge_chain(h.chain_der, *ca, now()).verified)
    return c.ok("port", fmt::format("{} is this server's", number));
  c.fail("port", fmt::format("{} is taken by another program", number), "End it, or use another port (--secure-port).");
}

void clock(Checks& c) {
  timex t{};
  int state = ::adjtimex(&t);
  if (now() < Timestamp(std::chrono::seconds(1'735'689'600)))  // 2025: before any release of this program
    return c.fail("clock", "it is " + format_rfc3339(now()),
                  "Set the clock: certificates are not valid yet by this one.");
  if (state == TIME_ERROR || (t.status & STA_UNSYNC) != 0)
    c.warn("clock", "it is " + format_rfc3339(now()) + ", and nothing keeps it right",
           "Run a time service (systemd-timesyncd, chrony): tokens and certificates depend on it.");
  else
    c.ok("clock", format_rfc3339(now()) + ", synchronized");
}

void dns(Checks& c) {
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  addrinfo* found = nullptr;
  if (int code = ::getaddrinfo(host, nullptr, nullptr, &found); code != 0)
    c.warn("dns", fmt::format("this machine's own name, {}, is not known: {}", host, gai_strerror(code)),
           fmt::format("Add it to /etc/hosts: 127.0.1.1 {}", host));
  else
    c.ok("dns", fmt::format("{} is known", host));
  if (found != nullptr) ::freeaddrinfo(found);
  std::ifstream file("/etc/resolv.conf");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (text.find("nameserver") == std::string::npos)
    c.warn("resolver", "/etc/resolv.conf names no server",
           "Pods with dnsPolicy Default, and pulling images, need one.");
}

void disk(Checks& c, std::string folder, uint64_t wanted) {
  // The nearest folder that exists.
  std::error_code error;
  while (folder.size() > 1 && !std::filesystem::exists(folder, error))
    folder = std::filesystem::path(folder).parent_path();
  struct statvfs fs{};
  if (::statvfs(folder.c_str(), &fs) != 0)
    return c.fail("disk", fmt::format("{}: {}", folder, std::strerror(errno)),
                  "Name a folder that can be read with --data-dir.");
  uint64_t left = static_cast<uint64_t>(fs.f_bavail) * fs.f_frsize;
  std::string saw = fmt::format("{:.1f} GiB free at {}", static_cast<double>(left) / (1 << 30), folder);
  if (left < wanted)
    c.warn("disk", saw,
           fmt::format("{} GiB are recommended: free some, or name another disk with --data-dir.", wanted >> 30));
  else if (fs.f_files > 0 && fs.f_favail * 20 < fs.f_files)
    c.warn("disk", saw + ", but few inodes", "Remove small files: less than a twentieth of the inodes is left.");
  else
    c.ok("disk", saw);
}

void certificates(Checks& c, const std::string& data_dir) {
  std::error_code error;
  std::string folder = data_dir + "/pki";
  if (!std::filesystem::exists(folder, error)) return;
  auto entries = pki::list_pki(folder);
  if (!entries)
    return c.fail("certificates", entries.error().message(), "Restore the folder from a backup, or run as root.");
  Timestamp at = now();
  const pki::PkiEntry* first = nullptr;
  for (const pki::PkiEntry& e : *entries) {
    if (first == nullptr || e.certificate.not_after < first->certificate.not_after) first = &e;
  }
  if (first == nullptr) return;
  auto days = std::chrono::duration_cast<std::chrono::hours>(first->certificate.not_after - at).count() / 24;
  std::string saw =
      fmt::format("{} certificates, the first to end is {} in {} days", entries->size(), first->name, days);
  if (first->certificate.not_after <= at)
    c.fail("certificates", saw,
           fmt::format("Start the server, which renews it, or run: redoubt certs renew {}", first->name));
  else if (first->renew_at <= at)
    c.warn("certificates", saw, "It is due: a running server renews it by itself.");
  else
    c.ok("certificates", saw);
  for (const auto& file : std::filesystem::directory_iterator(folder, error)) {
    if (file.path().extension() != ".key") continue;
    auto mode = file.status(error).permissions();
    if ((mode & (std::filesystem::perms::group_all | std::filesystem::perms::others_all)) !=
        std::filesystem::perms::none)
      c.fail("keys", fmt::format("{} can be read by others", file.path().string()),
             fmt::format("chmod 600 {}, and make the key anew if others use this machine.", file.path().string()));
  }
}

void server(Checks& c, const std::string& where) {
  size_t colon = where.rfind(':');
  paths::Peer peer{where.substr(0, colon), 6443};
  if (colon != std::string::npos) peer.port = static_cast<uint16_t>(std::atoi(where.c_str() + colon + 1));
  paths::Handshake h = paths::shake_hands(peer, {});
  if (!h.connected)
    c.fail("server", fmt::format("{}: {}", peer.to_string(), h.error),
           "Is the address right, the server up, and the port let through by firewalls?");
  else if (!h.done)
    c.fail("server", fmt::format("{} speaks no TLS that we do: {}", peer.to_string(), h.error),
           "Is this the API server's secure port, and no proxy in between that breaks TLS?");
  else
    c.ok("server", fmt::format("{} answers, {}", peer.to_string(), h.version));
  if (!h.done) return;
  auto leaf = pki::parse_certificate_der(h.chain_der.front());
  if (leaf && (now() < leaf->not_before || now() > leaf->not_after))
    c.fail("server clock",
           fmt::format("its certificate is valid from {} to {}, and here it is {}", format_rfc3339(leaf->not_before),
                       format_rfc3339(leaf->not_after), format_rfc3339(now())),
           "Set this machine's clock, or the server's.");
}

}  // namespace

std::vector<CheckResult> check_machine(const CheckOptions& o) {
  Checks c;
  kernel(c);
  clock(c);
  dns(c);
  if (o.is_node) {
    root(c);
    cgroups(c);
    forwarding(c);
    nftables(c);
    containerd(c, o.containerd_socket);
    programs(c);
  }
  if (o.is_server) port(c, o.port, o.data_dir);
  disk(c, o.data_dir, o.is_node ? kNodeFreeBytes : kServerFreeBytes);
  certificates(c, o.data_dir);
  if (!o.server.empty()) server(c, o.server);
  return std::move(c.results);
}

}  // namespace redoubt::cmd
