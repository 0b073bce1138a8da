#include "dns/address.h"

#include <arpa/inet.h>

#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

namespace redoubt::dns {

namespace ip = boost::asio::ip;

namespace {

constexpr size_t kV4Labels = 4 + 2, kV6Labels = 32 + 2;

}  // namespace

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

Labels split_name(std::string_view name) {
  Labels out;
  while (!name.empty()) {
    size_t dot = name.find('.');
    if (dot != 0) out.emplace_back(name.substr(0, dot));
    name.remove_prefix(dot == std::string_view::npos ? name.size() : dot + 1);
  }
  return out;
}

std::string join_name(const Labels& labels) {
  std::string out;
  for (const std::string& label : labels) {
    if (!out.empty()) out += '.';
    out += lower(label);
  }
  return out;
}

std::optional<std::string> canonical_address(std::string_view text) {
  boost::system::error_code error;
  auto address = ip::make_address(std::string(text), error);
  if (error || (address.is_v6() && address.to_v6().scope_id() != 0)) return std::nullopt;
  return address.to_string();
}

std::optional<std::string> reverse_name(const Labels& name) {
  if (name.size() < 2 || lower(name.back()) != "arpa") return std::nullopt;
  std::string kind = lower(name[name.size() - 2]);
  std::string text;
  if (kind == "in-addr" && name.size() == kV4Labels) {
    for (size_t i = 0; i < 4; ++i) text += (i == 0 ? "" : ".") + name[3 - i];
  } else if (kind == "ip6" && name.size() == kV6Labels) {
    for (size_t i = 0; i < 32; ++i) {
      if (name[31 - i].size() != 1) return std::nullopt;
      text += (i > 0 && i % 4 == 0 ? ":" : "") + name[31 - i];
    }
  } else {
    return std::nullopt;
  }
  return canonical_address(text);
}

std::optional<std::string> dashed_address(std::string_view label) {
  std::string dotted(label), colons(label);
  for (char& c : dotted) c = c == '-' ? '.' : c;
  for (char& c : colons) c = c == '-' ? ':' : c;
  auto v4 = canonical_address(dotted);
  return v4 ? v4 : canonical_address(colons);
}

bool in_network(std::string_view address, std::string_view cidr) {
  boost::system::error_code error;
  auto a = ip::make_address(std::string(address), error);
  if (error) return false;
  if (a.is_v4()) {
    auto network = ip::make_network_v4(std::string(cidr), error);
    if (error) return false;
    uint32_t mask = network.prefix_length() == 0 ? 0 : ~0U << (32 - network.prefix_length());
    return (a.to_v4().to_uint() & mask) == (network.address().to_uint() & mask);
  }
  auto network = ip::make_network_v6(std::string(cidr), error);
  if (error) return false;
  auto left = a.to_v6().to_bytes(), right = network.address().to_bytes();
  for (unsigned bit = 0; bit < network.prefix_length(); ++bit) {
    if (((left[bit / 8] ^ right[bit / 8]) >> (7 - bit % 8) & 1) != 0) return false;
  }
  return true;
}

}  // namespace redoubt::dns
