#include "egress/reverse/addresses.h"

#include <boost/asio/ip/address.hpp>

namespace redoubt::egress::reverse {

namespace ip = boost::asio::ip;

namespace {

// An address in its plain form: ::ffff:a.b.c.d is a.b.c.d.
std::optional<ip::address> parse(std::string_view text) {
  boost::system::error_code error;
  ip::address out = ip::make_address(std::string(text), error);
  if (error) return std::nullopt;
  if (out.is_v6()) {
    if (out.to_v6().scope_id() != 0) return std::nullopt;
    if (out.to_v6().is_v4_mapped()) out = ip::make_address_v4(ip::v4_mapped, out.to_v6());
  }
  return out;
}

void copy_bytes(const ip::address& address, unsigned char* into) {
  if (address.is_v4()) {
    auto bytes = address.to_v4().to_bytes();
    std::copy(bytes.begin(), bytes.end(), into);
  } else {
    auto bytes = address.to_v6().to_bytes();
    std::copy(bytes.begin(), bytes.end(), into);
  }
}

bool same_prefix(const unsigned char* a, const unsigned char* b, int bits) {
  int whole = bits / 8, rest = bits % 8;
  if (!std::equal(a, a + whole, b)) return false;
  return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

bool of_one_machine(const ip::address& a) {
  bool link_local = a.is_v6() ? a.to_v6().is_link_local() : (a.to_v4().to_uint() & 0xffff0000U) == 0xa9fe0000U;
  bool this_network = a.is_v4() && (a.to_v4().to_uint() & 0xff000000U) == 0;
  return a.is_loopback() || a.is_unspecified() || a.is_multicast() || link_local || this_network;
}

}  // namespace

NodeAddresses::NodeAddresses(std::string node, const std::vector<std::string>& addresses,
                             const std::vector<std::string>& pod_cidrs)
    : node_(std::move(node)) {
  auto add = [this](const ip::address& address, int bits) {
    Network network;
    network.v6 = address.is_v6();
    network.bits = bits;
    copy_bytes(address, network.bytes);
    networks_.push_back(network);
  };
  for (const std::string& text : addresses) {
    auto address = parse(text);
    if (address && !of_one_machine(*address)) add(*address, address->is_v6() ? 128 : 32);
  }
  own_ = networks_.size();
  for (const std::string& text : pod_cidrs) {
    size_t slash = text.find('/');
    auto address = parse(std::string_view(text).substr(0, slash));
    int bits = -1;
    if (slash == std::string::npos || !address) continue;
    auto [end, error] = std::from_chars(text.data() + slash + 1, text.data() + text.size(), bits);
    int most = address->is_v6() ? 128 : 32;
    // A network as wide as half the address space is nobody's pods.
    if (error != std::errc() || end != text.data() + text.size() || bits < (address->is_v6() ? 16 : 8) || bits > most)
      continue;
    if (!of_one_machine(*address)) add(*address, bits);
  }
}

bool NodeAddresses::holds(std::string_view host, size_t first) const {
  auto address = parse(host);
  if (!address || of_one_machine(*address)) return false;
  unsigned char bytes[16] = {};
  copy_bytes(*address, bytes);
  for (size_t i = 0; i < first; ++i) {
    const Network& network = networks_[i];
    if (network.v6 == address->is_v6() && same_prefix(network.bytes, bytes, network.bits)) return true;
  }
  return false;
}

bool NodeAddresses::of_node(std::string_view host) const {
  return holds(host, own_);
}

Result<void> NodeAddresses::check(std::string_view host) const {
  if (holds(host, networks_.size())) return {};
  return Error(
      Status(403, "Forbidden",
             fmt::format("the tunnel of node \"{}\" carries only traffic to its kubelet, its own addresses and "
                         "its pods' (spec.podCIDRs): not to {}",
                         node_, std::string(host.substr(0, 100)))));
}

}  // namespace redoubt::egress::reverse
