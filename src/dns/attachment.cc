#include "dns/attachment.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ifaddrs.h>

#include "base/program.h"
#include "dns/address.h"
#include "nft/nft.h"

namespace redoubt::dns {

namespace {

constexpr const char* kTable = "redoubt-dns";
// By which reset finds the address again.
constexpr const char* kLabel = "lo:redoubt-dns";

std::vector<std::string> of_family(const std::vector<std::string>& all, bool v6) {
  std::vector<std::string> out;
  for (const std::string& item : all) {
    if (is_ipv6(item) == v6) out.push_back(item);
  }
  return out;
}

const char* family_name(bool v6) {
  return v6 ? "ip6" : "ip";
}

std::set<std::string> own_addresses() {
  std::set<std::string> out;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return out;
  for (ifaddrs* i = list; i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr == nullptr) continue;
    char text[INET6_ADDRSTRLEN] = "";
    if (i->ifa_addr->sa_family == AF_INET)
      inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(i->ifa_addr)->sin_addr, text, sizeof text);
    if (i->ifa_addr->sa_family == AF_INET6)
      inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6*>(i->ifa_addr)->sin6_addr, text, sizeof text);
    out.insert(text);
  }
  ::freeifaddrs(list);
  return out;
}

}  // namespace

std::string attachment_script(bool v6, const std::vector<std::string>& addresses,
                              const std::vector<std::string>& pod_cidrs) {
  std::vector<std::string> mine = of_family(addresses, v6), from = of_family(pod_cidrs, v6);
  if (mine.empty()) return "";
  std::string pods =
      from.empty() ? "" : fmt::format("{} saddr {{ {} }} return", family_name(v6), fmt::join(from, ", "));
  return fmt::format(R"(add table {0} {1}
delete table {0} {1}
table {0} {1} {{
  comment "The node's DNS, by redoubt"
  set addresses {{ type {2}; elements = {{ {3} }}; }}
  chain prerouting {{
    type filter hook prerouting priority raw;
    {0} daddr @addresses meta l4proto {{ tcp, udp }} th dport 53 notrack
  }}
  chain output {{
    type filter hook output priority raw;
    {0} daddr @addresses meta l4proto {{ tcp, udp }} th dport 53 notrack
    {0} saddr @addresses meta l4proto {{ tcp, udp }} th sport 53 notrack
  }}
  chain input {{
    type filter hook input priority filter;
    {0} daddr != @addresses return
    fib saddr type local return
    {4}
    drop
  }}
}}
)",
                     family_name(v6), kTable, v6 ? "ipv6_addr" : "ipv4_addr", fmt::join(mine, ", "), pods);
}

Result<void> attach(const std::vector<std::string>& addresses, const std::vector<std::string>& pod_cidrs) {
  std::string script;
  for (bool v6 : {false, true}) script += attachment_script(v6, addresses, pod_cidrs);
  // The rules first: an address that anybody may ask is never there.
  RD_TRYV(nft::apply(script));
  for (const std::string& address : addresses) {
    if (is_ipv6(address)) {
      RD_TRYV(run_program({"ip", "-6", "address", "replace", address + "/128", "dev", "lo", "scope", "host"}));
    } else {
      RD_TRYV(run_program(
          {"ip", "-4", "address", "replace", address + "/32", "dev", "lo", "scope", "host", "label", kLabel}));
    }
  }
  return {};
}

bool attached(const std::vector<std::string>& addresses) {
  std::set<std::string> own = own_addresses();
  for (const std::string& address : addresses) {
    if (!own.contains(address)) return false;
    auto rules = nft::print(fmt::format("list table {} {}", family_name(is_ipv6(address)), kTable));
    // Our chains hold rules; a flushed table holds none.
    if (!rules || rules->find("notrack") == std::string::npos || rules->find(address) == std::string::npos)
      return false;
  }
  return true;
}

Result<void> detach(const std::vector<std::string>& addresses) {
  std::set<std::string> own = own_addresses();
  for (const std::string& address : addresses) {
    if (!own.contains(address)) continue;
    RD_TRYV(run_program({"ip", "address", "delete", address + (is_ipv6(address) ? "/128" : "/32"), "dev", "lo"}));
  }
  std::string script;
  for (bool v6 : {false, true})
    script += fmt::format("add table {0} {1}\ndelete table {0} {1}\n", family_name(v6), kTable);
  return nft::apply(script);
}

Result<void> detach_all() {
  std::vector<std::string> left;
  // IPv6 addresses have no labels: those of the table are ours.
  if (auto rules = nft::print(fmt::format("list set ip6 {} addresses", kTable))) {
    for (const std::string& address : own_addresses()) {
      if (is_ipv6(address) && rules->find(address) != std::string::npos) left.push_back(address);
    }
  }
  RD_TRYV(detach(left));
  RD_TRYV(run_program({"ip", "-4", "address", "flush", "dev", "lo", "label", kLabel}));
  return {};
}

}  // namespace redoubt::dns
