#include "egress/konnectivity/destinations.h"

#include <arpa/inet.h>
#include <ifaddrs.h>

#include <algorithm>
#include <memory>

namespace redoubt::konnectivity {

namespace {

std::string literal_of(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address->sa_family == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, text, sizeof text);
  } else if (address->sa_family == AF_INET6) {
    ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr, text, sizeof text);
  }
  return text;
}

bool is_own_address(const std::string& address) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return false;
  std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owned(list, &::freeifaddrs);
  auto wanted = Network::parse(address);
  for (ifaddrs* entry = list; wanted && entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr != nullptr && wanted->contains(literal_of(entry->ifa_addr))) return true;
  }
  return false;
}

}  // namespace

Result<Destinations> Destinations::parse(const std::vector<std::string>& words) {
  Destinations out;
  for (const std::string& word : words) {
    if (word == "any") {
      out.any_ = true;
    } else if (word == "node") {
      out.node_ = true;
    } else {
      auto network = Network::parse(word);
      if (!network)
        return bad_request(
            fmt::format("--allow-destinations: {}; \"any\" and \"node\" exist besides", network.error().message()));
      out.networks_.push_back(*network);
    }
  }
  return out;
}

bool Destinations::allows(const std::string& address) const {
  if (any_) return true;
  if (std::any_of(networks_.begin(), networks_.end(), [&](const Network& n) { return n.contains(address); }))
    return true;
  return node_ && is_own_address(address);
}

}  // namespace redoubt::konnectivity
