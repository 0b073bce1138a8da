#include "apiserver/auth/attributes.h"

#include <fmt/format.h>

namespace redoubt::apiserver {

std::string denial(const UserInfo& user, const Attributes& a, std::string_view reason) {
  std::string out;
  if (!a.resource_request) {
    out = fmt::format("User \"{}\" cannot {} path \"{}\"", user.name, a.verb, a.path);
  } else {
    std::string resource = a.subresource.empty() ? a.resource : a.resource + "/" + a.subresource;
    std::string where =
        a.namespace_.empty() ? "at the cluster scope" : fmt::format("in the namespace \"{}\"", a.namespace_);
    out = fmt::format("User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {}", user.name, a.verb, resource,
                      a.api_group, where);
  }
  if (!reason.empty()) out += fmt::format(": {}", reason);
  return out;
}

std::vector<std::pair<std::string, std::string>> parse_field_equals(std::string_view selector) {
  std::vector<std::pair<std::string, std::string>> out;
  while (!selector.empty()) {
    size_t comma = selector.find(',');
    std::string_view term = selector.substr(0, comma);
    selector = comma == std::string_view::npos ? std::string_view() : selector.substr(comma + 1);
    size_t at = term.find('=');
    if (at == 0 || at == std::string_view::npos || term[at - 1] == '!') continue;
    std::string_view value = term.substr(at + 1);
    if (value.starts_with('=')) value.remove_prefix(1);
    // An escaped value is not one that a name or a node can have: the term proves nothing.
    if (value.find('\\') != std::string_view::npos) continue;
    out.emplace_back(term.substr(0, at), value);
  }
  return out;
}

}  // namespace redoubt::apiserver
