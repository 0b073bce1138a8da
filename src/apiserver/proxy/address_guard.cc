#include "apiserver/proxy/address_guard.h"

#include <netdb.h>

#include <boost/asio/ip/address.hpp>

#include "base/blocking.h"

namespace redoubt::apiserver {

namespace {

namespace ip = boost::asio::ip;

constexpr size_t kMaxAddresses = 16;

ip::address plain(ip::address address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) return ip::make_address_v4(ip::v4_mapped, address.to_v6());
  return address;
}

// Metadata services that sit outside the link-local ranges.
bool is_metadata(const ip::address& address) {
  static const ip::address kAll[] = {
      ip::make_address("100.100.100.200"),  // Alibaba Cloud
      ip::make_address("168.63.129.16"),    // Azure's wire server
      ip::make_address("192.0.0.192"),      // Oracle Cloud
      ip::make_address("fd00:ec2::254"),    // AWS
      ip::make_address("fd20:ce::254"),     // Google Cloud
  };
  for (const ip::address& one : kAll) {
    if (address == one) return true;
  }
  return false;
}

bool reaches_out(const ip::address& address, bool allow_loopback) {
  if (address.is_unspecified() || address.is_multicast() || is_metadata(address)) return false;
  if (address.is_loopback()) return allow_loopback;
  if (address.is_v4()) {
    auto bytes = address.to_v4().to_bytes();
    if (bytes[0] == 0 || bytes[0] == 127 || bytes[0] >= 240) return false;
    return !(bytes[0] == 169 && bytes[1] == 254);
  }
  auto v6 = address.to_v6();
  auto bytes = v6.to_bytes();
  // NAT64 and 6to4 would carry an IPv4 address past the checks above.
  bool embeds_v4 = (bytes[0] == 0x00 && bytes[1] == 0x64 && bytes[2] == 0xff && bytes[3] == 0x9b) ||
                   (bytes[0] == 0x20 && bytes[1] == 0x02) || v6.is_v4_compatible();
  return !v6.is_link_local() && !v6.is_site_local() && !embeds_v4;
}

Error not_allowed() {
  return bad_request("address not allowed");
}

}  // namespace

Result<void> AddressGuard::check(std::string_view text, uint16_t port, bool allow_loopback) const {
  boost::system::error_code error;
  auto address = plain(ip::make_address(std::string(text), error));
  if (error || !reaches_out(address, allow_loopback)) return not_allowed();
  for (const net::Address& own : apiserver_) {
    auto mine = ip::make_address(own.host, error);
    if (!error && plain(mine) == address && own.port == port) return not_allowed();
  }
  return {};
}

Task<Result<net::Address>> AddressGuard::resolve(net::Address address, bool allow_loopback) const {
  boost::system::error_code error;
  auto literal = ip::make_address(address.host, error);
  if (!error) {
    RD_CO_TRYV(check(address.host, address.port, allow_loopback));
    address.host = plain(literal).to_string();
    co_return address;
  }
  auto found = co_await run_blocking([host = address.host] {
    std::vector<std::string> out;
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    if (::getaddrinfo(host.c_str(), nullptr, &hints, &list) != 0) return out;
    for (addrinfo* i = list; i != nullptr && out.size() < kMaxAddresses; i = i->ai_next) {
      char text[NI_MAXHOST];
      if (::getnameinfo(i->ai_addr, i->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0)
        out.emplace_back(text);
    }
    ::freeaddrinfo(list);
    return out;
  });
  if (found.empty()) co_return service_unavailable(fmt::format("dial tcp: lookup {}: no such host", address.host));
  for (const std::string& one : found) RD_CO_TRYV(check(one, address.port, allow_loopback));
  address.host = plain(ip::make_address(found[0], error)).to_string();
  co_return address;
}

}  // namespace redoubt::apiserver
