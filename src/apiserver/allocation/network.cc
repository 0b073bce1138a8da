#include "apiserver/allocation/network.h"

#include <algorithm>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

namespace redoubt::apiserver {

namespace ip = boost::asio::ip;

namespace {

// Upstream's: a sixteenth, at least 16 and at most 256.
constexpr uint64_t kLeastReserved = 16, kMostReserved = 256;
// A /28 of IPv4: the `kubernetes` Service, the cluster's DNS, and a few more.
constexpr uint64_t kLeastServices = 14;
constexpr uint64_t kMostAddresses = 1ULL << 63;

// IPv4 in the last four bytes.
std::optional<std::array<unsigned char, 16>> bytes_of(std::string_view text, bool& v6) {
  boost::system::error_code error;
  auto address = ip::make_address(std::string(text), error);
  if (error || (address.is_v6() && address.to_v6().scope_id() != 0)) return std::nullopt;
  std::array<unsigned char, 16> out{};
  v6 = address.is_v6();
  if (v6) {
    out = address.to_v6().to_bytes();
  } else {
    auto four = address.to_v4().to_bytes();
    std::ranges::copy(four, out.begin() + 12);
  }
  return out;
}

}  // namespace

std::optional<std::string> canonical_ip(std::string_view text) {
  boost::system::error_code error;
  auto address = ip::make_address(std::string(text), error);
  if (error || (address.is_v6() && address.to_v6().scope_id() != 0)) return std::nullopt;
  return address.to_string();
}

std::optional<Network> Network::parse(std::string_view cidr) {
  boost::system::error_code error;
  Network out;
  out.v6_ = is_ipv6(cidr);
  if (out.v6_) {
    auto network = ip::make_network_v6(std::string(cidr), error);
    if (error || network.canonical() != network) return std::nullopt;
    out.base_ = network.address().to_bytes();
    out.prefix_ = network.prefix_length();
  } else {
    auto network = ip::make_network_v4(std::string(cidr), error);
    if (error || network.canonical() != network) return std::nullopt;
    auto four = network.address().to_bytes();
    std::ranges::copy(four, out.base_.begin() + 12);
    out.prefix_ = network.prefix_length();
  }
  unsigned bits = (out.v6_ ? 128 : 32) - out.prefix_;
  if (bits < 2) return std::nullopt;
  uint64_t all = bits >= 63 ? kMostAddresses : 1ULL << bits;
  out.size_ = all - (out.v6_ ? 1 : 2);
  return out;
}

bool Network::covers(std::string_view address) const {
  bool v6 = false;
  auto bytes = bytes_of(address, v6);
  if (!bytes || v6 != v6_) return false;
  unsigned skip = v6_ ? 0 : 96;
  for (unsigned i = skip; i < skip + prefix_; ++i) {
    if ((((*bytes)[i / 8] ^ base_[i / 8]) >> (7 - i % 8) & 1) != 0) return false;
  }
  return true;
}

bool Network::holds(std::string_view address) const {
  if (!covers(address)) return false;
  bool v6 = false;
  auto bytes = bytes_of(address, v6);
  bool zeros = true, ones = true;
  for (unsigned i = (v6_ ? 0 : 96) + prefix_; i < 128; ++i) {
    bool set = ((*bytes)[i / 8] >> (7 - i % 8) & 1) != 0;
    zeros = zeros && !set;
    ones = ones && set;
  }
  return !zeros && (v6_ || !ones);
}

std::string Network::at(uint64_t offset) const {
  std::array<unsigned char, 16> bytes = base_;
  for (size_t i = 16; i-- > 0 && offset > 0;) {
    uint64_t sum = bytes[i] + (offset & 255);
    bytes[i] = static_cast<unsigned char>(sum);
    offset = (offset >> 8) + (sum >> 8);
  }
  if (v6_) return ip::address_v6(bytes).to_string();
  ip::address_v4::bytes_type four{};
  std::copy(bytes.begin() + 12, bytes.end(), four.begin());
  return ip::address_v4(four).to_string();
}

uint64_t Network::reserved() const {
  uint64_t all = size_ + (v6_ ? 1 : 2);
  if (all <= kLeastReserved) return 0;
  return std::min(std::max(kLeastReserved, all / 16), kMostReserved);
}

std::string Network::to_string() const {
  return at(0) + "/" + std::to_string(prefix_);
}

Result<std::vector<Network>> parse_service_networks(std::string_view text) {
  std::vector<Network> out;
  std::string_view rest = text;
  while (true) {
    size_t comma = rest.find(',');
    auto network = Network::parse(rest.substr(0, comma));
    if (!network || network->size() < kLeastServices)
      return bad_request(
          fmt::format("--service-cluster-ip-range \"{}\" must be a network like 10.96.0.0/12, with room for {} "
                      "addresses, or one of IPv4 and one of IPv6 with a comma between",
                      text, kLeastServices));
    out.push_back(*network);
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  if (out.size() > 2 || (out.size() == 2 && out[0].v6() == out[1].v6()))
    return bad_request(
        fmt::format("--service-cluster-ip-range \"{}\" must be one network, or one of each family", text));
  return out;
}

}  // namespace redoubt::apiserver
