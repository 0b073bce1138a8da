#include "egress/konnectivity/header.h"

#include <arpa/inet.h>

#include <charconv>

#include "egress/konnectivity/limits.h"

namespace redoubt::konnectivity {

uint64_t number_header(const net::Headers& headers, std::string_view name) {
  auto text = headers.get(name);
  uint64_t value = 0;
  if (!text) return 0;
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value > (uint64_t{1} << 31)) return 0;
  return value;
}

namespace {

// As Go's strconv.ParseBool takes it.
bool is_true(std::string_view text) {
  return text == "1" || text == "t" || text == "T" || text == "true" || text == "TRUE" || text == "True";
}

bool to_bytes(std::string_view text, unsigned char (&out)[16]) {
  std::string copy(text);
  unsigned char four[4];
  if (::inet_pton(AF_INET, copy.c_str(), four) == 1) {
    std::memset(out, 0, 10);
    out[10] = out[11] = 0xFF;
    std::memcpy(out + 12, four, 4);
    return true;
  }
  return ::inet_pton(AF_INET6, copy.c_str(), out) == 1;
}

}  // namespace

Result<Identifiers> parse_identifiers(std::string_view text, bool strict) {
  auto pairs = net::parse_query(text);
  if (!pairs) return bad_request("fail to parse url encoded string: agent identifiers are malformed");
  Identifiers out;
  bool route_seen = false;
  for (auto& [type, value] : *pairs) {
    if (type == "ipv4") {
      out.ipv4.push_back(value);
    } else if (type == "ipv6") {
      out.ipv6.push_back(value);
    } else if (type == "host") {
      out.host.push_back(value);
    } else if (type == "cidr") {
      if (auto network = Network::parse(value); strict && !network) return Error(network.error());
      out.cidr.push_back(value);
    } else if (type == "default-route") {
      if (!std::exchange(route_seen, true)) out.default_route = is_true(value);
    } else if (strict) {
      return bad_request(fmt::format("unknown address type: {}", type));
    }
    if (out.count() > kMaxIdentifiers)
      return bad_request(fmt::format("more than {} agent identifiers", kMaxIdentifiers));
  }
  return out;
}

Result<Network> Network::parse(std::string_view text) {
  Network out;
  size_t slash = text.find('/');
  if (!to_bytes(text.substr(0, slash), out.bytes_))
    return bad_request(fmt::format("\"{}\" is no address and no network (like 10.1.0.0/16)", text));
  bool v4 = text.substr(0, slash).find(':') == std::string_view::npos;
  out.bits_ = 128;
  if (slash != std::string_view::npos) {
    int bits = -1;
    std::string_view digits = text.substr(slash + 1);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (error != std::errc() || end != digits.data() + digits.size() || bits < 0 || bits > (v4 ? 32 : 128))
      return bad_request(fmt::format("\"{}\" has no valid prefix length", text));
    out.bits_ = v4 ? 96 + bits : bits;
  }
  return out;
}

bool Network::contains(std::string_view address) const {
  unsigned char other[16];
  if (!to_bytes(address, other)) return false;
  // ::/0 is IPv6's default route and not IPv4's.
  static constexpr unsigned char kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  if (bits_ < 96 && std::memcmp(other, kMapped, 12) == 0) return false;
  int whole = bits_ / 8, rest = bits_ % 8;
  if (std::memcmp(bytes_, other, static_cast<size_t>(whole)) != 0) return false;
  return rest == 0 || (bytes_[whole] ^ other[whole]) >> (8 - rest) == 0;
}

std::string host_of(std::string_view address) {
  if (address.starts_with('[')) return std::string(address.substr(1, address.find(']') - 1));
  size_t first = address.find(':');
  if (first == std::string_view::npos || address.find(':', first + 1) != std::string_view::npos) {
    return std::string(address);  // a bare name or a bare IPv6 address
  }
  return std::string(address.substr(0, first));
}

}  // namespace redoubt::konnectivity
