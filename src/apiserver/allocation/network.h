// A network whose addresses are given out: "10.96.0.0/12", "fd00:96::/108". Pure; values.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace redoubt::apiserver {

// Canonical text; nothing for what is no address.
std::optional<std::string> canonical_ip(std::string_view text);
inline bool is_ipv6(std::string_view address) {
  return address.find(':') != std::string_view::npos;
}
inline const char* ip_family(std::string_view address) {
  return is_ipv6(address) ? "IPv6" : "IPv4";
}

class Network {
 public:
  // Nothing for what is no network, has bits set beyond its prefix, or has no room.
  static std::optional<Network> parse(std::string_view cidr);
  bool v6() const { return v6_; }
  // Whether `address` lies in it at all.
  bool covers(std::string_view address) const;
  // Whether `address` may be given to a Service: neither the network's own nor (IPv4) the broadcast address.
  bool holds(std::string_view address) const;
  // How many addresses may be given (at most 2^63), and the one at `offset` (1 to size()).
  uint64_t size() const { return size_; }
  std::string at(uint64_t offset) const;
  // Addresses up to this offset are left to those who ask by number, as long as there are others
  // (https://kubernetes.io/docs/concepts/services-networking/cluster-ip-allocation/).
  uint64_t reserved() const;
  std::string to_string() const;

 private:
  std::array<unsigned char, 16> base_{};
  unsigned prefix_ = 0;
  bool v6_ = false;
  uint64_t size_ = 0;
};

// The value of --service-cluster-ip-range: a network, or one of each family with a comma between, the default family
// first. BadRequest for anything else, and for a network with room for fewer than 14 addresses.
Result<std::vector<Network>> parse_service_networks(std::string_view text);

}  // namespace redoubt::apiserver
