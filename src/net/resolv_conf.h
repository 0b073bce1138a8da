// What resolv.conf(5) says. Pure, but for the reading of the file.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace redoubt::net {

struct ResolvConf {
  std::vector<std::string> nameservers;  // addresses, in order, without doubles
  std::vector<std::string> searches;
  std::vector<std::string> options;
};

// Lines that aren't understood are passed over, as every resolver does.
ResolvConf parse_resolv_conf(std::string_view text);
// Empty for a file that isn't there or can't be read. Blocking.
ResolvConf read_resolv_conf(const std::string& path);

}  // namespace redoubt::net
