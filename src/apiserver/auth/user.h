// Who a request comes from.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace redoubt::apiserver {

struct UserInfo {
  std::string name;
  std::string uid;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;

  bool in_group(std::string_view group) const {
    for (const std::string& g : groups) {
      if (g == group) return true;
    }
    return false;
  }
  bool is_anonymous() const { return name == "system:anonymous"; }
  // NAME of system:node:NAME in system:nodes; empty for everybody else.
  std::string_view node_name() const {
    constexpr std::string_view kPrefix = "system:node:";
    return std::string_view(name).starts_with(kPrefix) && in_group("system:nodes")
               ? std::string_view(name).substr(kPrefix.size())
               : std::string_view();
  }
};

}  // namespace redoubt::apiserver
