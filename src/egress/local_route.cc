#include "egress/local_route.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>

namespace redoubt::egress {

namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kRemembered{5};
constexpr size_t kMaxRemembered = 1000;
// The kernel answers at once; this is only so that nothing can hang a loop.
constexpr timeval kAnswerTimeout{.tv_sec = 0, .tv_usec = 200'000};

class Netlink {
 public:
  Netlink() : fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {
    if (fd_ >= 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &kAnswerTimeout, sizeof kAnswerTimeout);
  }
  ~Netlink() {
    if (fd_ >= 0) ::close(fd_);
  }
  Netlink(const Netlink&) = delete;
  Netlink& operator=(const Netlink&) = delete;

  // Sends one request and gives every message of the answer; false when anything went wrong.
  bool ask(const nlmsghdr& request, bool dump, const std::function<void(const nlmsghdr&)>& each) {
    if (fd_ < 0 || ::send(fd_, &request, request.nlmsg_len, 0) != static_cast<ssize_t>(request.nlmsg_len)) return false;
    alignas(nlmsghdr) char buffer[64 * 1024];
    while (true) {
      ssize_t size = ::recv(fd_, buffer, sizeof buffer, 0);
      if (size <= 0) return false;
      auto left = static_cast<uint32_t>(size);
      for (auto* h = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
        if (h->nlmsg_type == NLMSG_DONE) return true;
        if (h->nlmsg_type == NLMSG_ERROR) return false;
        each(*h);
        if (!dump) return true;
      }
    }
  }

 private:
  int fd_;
};

struct Route {
  bool local = false;
  bool gateway = false;
  bool one_address = false;  // a route to this very address
  int interface = 0;
};

bool find_route(Netlink& netlink, int family, const void* address, size_t size, Route& out) {
  struct {
    nlmsghdr header;
    rtmsg route;
    char attributes[64];
  } request{};
  request.header.nlmsg_type = RTM_GETROUTE;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.route.rtm_family = static_cast<unsigned char>(family);
  request.route.rtm_dst_len = static_cast<unsigned char>(size * 8);
  request.route.rtm_flags = RTM_F_FIB_MATCH;
  auto* attribute = reinterpret_cast<rtattr*>(request.attributes);
  attribute->rta_type = RTA_DST;
  attribute->rta_len = static_cast<unsigned short>(RTA_LENGTH(size));
  std::memcpy(RTA_DATA(attribute), address, size);
  request.header.nlmsg_len = static_cast<uint32_t>(NLMSG_LENGTH(sizeof(rtmsg)) + RTA_SPACE(size));
  bool found = false;
  bool ok = netlink.ask(request.header, false, [&](const nlmsghdr& message) {
    if (message.nlmsg_type != RTM_NEWROUTE) return;
    auto* route = static_cast<const rtmsg*>(NLMSG_DATA(&message));
    found = true;
    out.local = route->rtm_type == RTN_LOCAL;
    out.one_address = route->rtm_dst_len == size * 8;
    bool unicast = route->rtm_type == RTN_UNICAST;
    auto left = static_cast<int>(message.nlmsg_len - NLMSG_LENGTH(sizeof(rtmsg)));
    for (auto* a = reinterpret_cast<const rtattr*>(reinterpret_cast<const char*>(route) + NLMSG_ALIGN(sizeof(rtmsg)));
         RTA_OK(a, left); a = RTA_NEXT(a, left)) {
      if (a->rta_type == RTA_GATEWAY || a->rta_type == RTA_VIA || a->rta_type == RTA_MULTIPATH ||
          a->rta_type == RTA_ENCAP)
        out.gateway = true;
      if (a->rta_type == RTA_OIF && unicast) std::memcpy(&out.interface, RTA_DATA(a), sizeof out.interface);
    }
  });
  return ok && found;
}

struct Link {
  std::string kind;  // "veth", "bridge"; empty for hardware
  int master = 0;
};

bool list_links(Netlink& netlink, std::map<int, Link>& out) {
  struct {
    nlmsghdr header;
    ifinfomsg link;
  } request{};
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof(ifinfomsg));
  return netlink.ask(request.header, true, [&](const nlmsghdr& message) {
    if (message.nlmsg_type != RTM_NEWLINK) return;
    auto* info = static_cast<const ifinfomsg*>(NLMSG_DATA(&message));
    Link& link = out[info->ifi_index];
    auto left = static_cast<int>(message.nlmsg_len - NLMSG_LENGTH(sizeof(ifinfomsg)));
    for (auto* a =
             reinterpret_cast<const rtattr*>(reinterpret_cast<const char*>(info) + NLMSG_ALIGN(sizeof(ifinfomsg)));
         RTA_OK(a, left); a = RTA_NEXT(a, left)) {
      if (a->rta_type == IFLA_MASTER) std::memcpy(&link.master, RTA_DATA(a), sizeof link.master);
      if ((a->rta_type & NLA_TYPE_MASK) != IFLA_LINKINFO) continue;
      auto inner = static_cast<int>(RTA_PAYLOAD(a));
      for (auto* b = static_cast<const rtattr*>(RTA_DATA(a)); RTA_OK(b, inner); b = RTA_NEXT(b, inner)) {
        if (b->rta_type == IFLA_INFO_KIND)
          link.kind.assign(static_cast<const char*>(RTA_DATA(b)),
                           strnlen(static_cast<const char*>(RTA_DATA(b)), RTA_PAYLOAD(b)));
      }
    }
  });
}

bool ask_kernel(const std::string& ip) {
  unsigned char raw[16];
  int family = AF_INET;
  size_t size = 4;
  if (inet_pton(AF_INET, ip.c_str(), raw) != 1) {
    family = AF_INET6;
    size = 16;
    if (inet_pton(AF_INET6, ip.c_str(), raw) != 1) return false;
  }
  Netlink netlink;
  Route route;
  if (!find_route(netlink, family, raw, size, route)) return false;
  if (route.local) return true;
  if (route.gateway || route.interface == 0) return false;
  std::map<int, Link> links;
  Netlink second;
  if (!list_links(second, links)) return false;
  auto way = links.find(route.interface);
  if (way == links.end()) return false;
  // A whole network behind a veth is what a container sees of its machine's network, and may be anywhere.
  if (way->second.kind == "veth") return route.one_address;
  if (way->second.kind != "bridge") return false;
  for (const auto& [index, link] : links) {
    if (link.master == route.interface && link.kind != "veth") return false;
  }
  return true;
}

}  // namespace

bool stays_on_this_machine(std::string_view ip) {
  struct Known {
    bool stays;
    steady_clock::time_point until;
  };
  static std::mutex mutex;
  static std::map<std::string, Known, std::less<>> known;
  auto now = steady_clock::now();
  {
    std::lock_guard lock(mutex);
    auto it = known.find(ip);
    if (it != known.end() && now < it->second.until) return it->second.stays;
  }
  std::string text(ip);
  bool stays = ask_kernel(text);
  std::lock_guard lock(mutex);
  if (known.size() >= kMaxRemembered) known.clear();
  known[text] = {stays, now + kRemembered};
  return stays;
}

}  // namespace redoubt::egress
