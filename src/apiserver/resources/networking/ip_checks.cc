#include "apiserver/resources/networking/ip_checks.h"

#include <boost/asio/ip/address.hpp>
#include <optional>

namespace redoubt::apiserver {

namespace {

namespace ip = boost::asio::ip;

std::optional<ip::address> parse(std::string_view text) {
  boost::system::error_code error;
  auto address = ip::make_address(std::string(text), error);
  if (error || text.find('%') != std::string_view::npos) return std::nullopt;
  return address;
}

}  // namespace

bool is_ip(std::string_view text, bool v6) {
  auto address = parse(text);
  return address && address->is_v6() == v6;
}

bool is_ip(std::string_view text) {
  return parse(text).has_value();
}

void check_endpoint_ip(std::string_view text, const std::string& field, Causes& causes) {
  auto address = parse(text);
  if (!address) {
    invalid_value(causes, field, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    return;
  }
  bool v6 = address->is_v6();
  bool link_local = v6 ? address->to_v6().is_link_local() : (address->to_v4().to_uint() >> 16) == 0xa9fe;
  bool link_multicast = v6 ? address->to_v6().is_multicast_link_local() : (address->to_v4().to_uint() >> 8) == 0xe00000;
  if (address->is_unspecified()) invalid_value(causes, field, text, "may not be unspecified (0.0.0.0 or ::)");
  if (address->is_loopback())
    invalid_value(causes, field, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
  if (link_local) invalid_value(causes, field, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
  if (link_multicast)
    invalid_value(causes, field, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
}

}  // namespace redoubt::apiserver
