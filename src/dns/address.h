// Addresses as DNS writes them.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "dns/record.h"

namespace redoubt::dns {

// The address that a name under in-addr.arpa or ip6.arpa stands for, in canonical text; nothing for an incomplete one.
std::optional<std::string> reverse_name(const Labels& name);
// "10-1-2-3" and "fd00--1" as addresses; nothing for anything else.
std::optional<std::string> dashed_address(std::string_view label);
// Canonical text; nothing for what is no address.
std::optional<std::string> canonical_address(std::string_view text);
inline bool is_ipv6(std::string_view address) {
  return address.find(':') != std::string_view::npos;
}
// Whether `address` lies in `cidr`; false for what is neither.
bool in_network(std::string_view address, std::string_view cidr);

Labels split_name(std::string_view name);
// Lower case, with dots between.
std::string join_name(const Labels& labels);
std::string lower(std::string_view text);

}  // namespace redoubt::dns
