// The API server's flags, where they can be seen: of a process on this machine, of its static pod, or at /flagz.
#include <dirent.h>
#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <memory>

#include "base/blocking.h"
#include "paths/collect.h"
#include "paths/objects.h"

namespace redoubt::paths {

namespace {

using Flags = std::map<std::string, std::string>;

// "--a=b", "--a b" and "--a" (true). Dashes are dropped.
Flags read_flags(const std::vector<std::string>& words) {
  Flags out;
  for (size_t i = 0; i < words.size(); ++i) {
    if (!words[i].starts_with("--")) continue;
    std::string word = words[i].substr(2);
    if (size_t equal = word.find('='); equal != std::string::npos)
      out[word.substr(0, equal)] = word.substr(equal + 1);
    else if (i + 1 < words.size() && !words[i + 1].starts_with("--"))
      out[word] = words[++i];
    else
      out[word] = "true";
  }
  return out;
}

// Is one of the host's addresses this machine's? Binding to it says so without sending anything.
bool is_local(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return false;
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> keep(found, freeaddrinfo);
  for (addrinfo* a = found; a != nullptr; a = a->ai_next) {
    int fd = ::socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && ::bind(fd, a->ai_addr, a->ai_addrlen) == 0;
    if (fd >= 0) ::close(fd);
    if (bound) return true;
  }
  return false;
}

std::string network_of(const std::string& pid) {
  char link[128];
  ssize_t n = ::readlink(("/proc/" + pid + "/ns/net").c_str(), link, sizeof link);
  return n > 0 ? std::string(link, static_cast<size_t>(n)) : "";
}

// Of the kube-apiserver in this network namespace that serves that port.
std::optional<Flags> local_flags(const Peer& server) {
  if (!is_local(server.host)) return std::nullopt;
  std::unique_ptr<DIR, decltype(&closedir)> proc(::opendir("/proc"), closedir);
  if (!proc) return std::nullopt;
  std::string own = network_of("self");
  while (dirent* entry = ::readdir(proc.get())) {
    std::string pid = entry->d_name;
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file("/proc/" + pid + "/cmdline", std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    std::vector<std::string> words;
    for (size_t at = 0; at < text.size();) {
      size_t end = text.find('\0', at);
      if (end == std::string::npos) end = text.size();
      words.push_back(text.substr(at, end - at));
      at = end + 1;
    }
    if (words.empty()) continue;
    std::string name = words[0].substr(words[0].rfind('/') + 1);
    if (name != "kube-apiserver" || network_of(pid) != own) continue;
    Flags flags = read_flags(words);
    std::string port = flags.contains("secure-port") ? flags["secure-port"] : "6443";
    if (port == std::to_string(server.port)) return flags;
  }
  return std::nullopt;
}

}  // namespace

Task<void> collect_flags(client::Client& api, Facts& f, bool read_processes) {
  if (f.redoubt) co_return;  // it says itself what matters (/redoubt/paths/state)
  if (read_processes) {
    f.apiserver_flags = co_await run_blocking([server = f.server] { return local_flags(server); });
    if (f.apiserver_flags) f.flags_source = "the kube-apiserver process on this machine";
  }
  if (!f.apiserver_flags) {
    // kubeadm's mirror pods. Several API servers may differ: then nothing is concluded from any.
    std::vector<Flags> seen;
    (void)co_await for_each_object(api, "/api/v1/namespaces/kube-system/pods",
                                   "labelSelector=component%3Dkube-apiserver", false, [&](const schema::Value& v) {
                                     schema::Value containers = v.get({"spec", "containers"});
                                     for (const schema::Value& c : schema::items(containers)) {
                                       std::vector<std::string> words = texts_at(c, {"command"});
                                       for (std::string& word : texts_at(c, {"args"})) words.push_back(std::move(word));
                                       if (!words.empty()) seen.push_back(read_flags(words));
                                     }
                                   });
    for (Flags& flags : seen) flags.erase("advertise-address");
    bool same = !seen.empty();
    for (const Flags& flags : seen) same = same && flags == seen.front();
    if (same) {
      f.apiserver_flags = seen.front();
      f.flags_source = "its pod in kube-system";
    }
  }
  if (!f.apiserver_flags) {
    auto answer = co_await api.request("GET", "/flagz", {}, {}, "text/plain");
    if (answer && answer->body.find("authorization-mode") != std::string::npos) {
      Flags flags;
      std::string_view text = answer->body;
      while (!text.empty()) {
        size_t end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
        size_t split = line.find_first_of("=: ");
        if (split == std::string_view::npos) continue;
        std::string_view value = line.substr(split + 1);
        // Lists are printed in brackets: [Node,RBAC] or [Node RBAC].
        if (value.starts_with('[') && value.ends_with(']')) value = value.substr(1, value.size() - 2);
        flags[std::string(line.substr(0, split))] = value;
      }
      f.apiserver_flags = std::move(flags);
      f.flags_source = "/flagz";
    }
  }
}

}  // namespace redoubt::paths
