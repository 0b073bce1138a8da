#include "controllers/service_cidrs/orphans.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <optional>
#include <variant>

namespace redoubt::controllers {

namespace {

namespace ip = boost::asio::ip;
using k8s::networking::v1::ServiceCIDR;
using Network = std::variant<ip::network_v4, ip::network_v6>;

std::optional<Network> parse(const std::string& cidr) {
  boost::system::error_code error;
  Network out;
  if (cidr.find(':') == std::string::npos) {
    out = ip::make_network_v4(cidr, error);
  } else {
    out = ip::make_network_v6(cidr, error);
  }
  return error ? std::nullopt : std::optional(out);
}

// The same network lies in itself.
bool lies_in(const Network& part, const Network& whole) {
  if (part.index() != whole.index()) return false;
  return std::visit(
      [&](const auto& p) {
        const auto& w = std::get<std::decay_t<decltype(p)>>(whole);
        return p.canonical() == w.canonical() || p.canonical().is_subnet_of(w.canonical());
      },
      part);
}

std::optional<Network> one_address(const std::string& text) {
  return parse(text + (text.find(':') == std::string::npos ? "/32" : "/128"));
}

bool holds(const ServiceCIDR& cidr, const Network& part) {
  return std::ranges::any_of(cidr.spec.cidrs, [&](const std::string& text) {
    auto whole = parse(text);
    return whole && lies_in(part, *whole);
  });
}

bool others_hold(const ServiceCIDR& going, const ServiceCidrs& all, const Network& part) {
  return std::ranges::any_of(all, [&](const auto& other) {
    return other->metadata.name != going.metadata.name && !other->metadata.deletionTimestamp && holds(*other, part);
  });
}

}  // namespace

bool is_covered(const ServiceCIDR& going, const ServiceCidrs& all) {
  return std::ranges::all_of(going.spec.cidrs, [&](const std::string& text) {
    auto network = parse(text);
    return !network || others_hold(going, all, *network);
  });
}

bool would_be_orphan(const std::string& address, const ServiceCIDR& going, const ServiceCidrs& all) {
  auto one = one_address(address);
  return one && holds(going, *one) && !others_hold(going, all, *one);
}

}  // namespace redoubt::controllers
