#include "apiserver/aggregation/passed_on.h"

#include <fmt/format.h>

#include <algorithm>

namespace redoubt::apiserver {

namespace {

bool carried_unchanged(std::string_view text) {
  if (text.empty()) return true;
  bool clean = std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  return clean && text.front() != ' ' && text.back() != ' ';
}

Error unfit(std::string_view what) {
  return bad_request(fmt::format("the user's {} has characters that no header carries as they are", what));
}

}  // namespace

std::optional<AskedGroupVersion> asked_group_version(std::string_view path) {
  constexpr std::string_view kOpenApi = "/openapi/v3/apis/", kApis = "/apis/";
  bool openapi = path.starts_with(kOpenApi);
  if (!openapi && !path.starts_with(kApis)) return std::nullopt;
  path.remove_prefix(openapi ? kOpenApi.size() : kApis.size());
  size_t slash = path.find('/');
  if (slash == std::string_view::npos || slash == 0) return std::nullopt;
  size_t end = std::min(path.find('/', slash + 1), path.size());
  if (end == slash + 1) return std::nullopt;
  return AskedGroupVersion{path.substr(0, slash), path.substr(slash + 1, end - slash - 1), path.substr(0, end)};
}

Result<void> unambiguous_path(std::string_view path) {
  if (path.starts_with('/')) path.remove_prefix(1);
  if (path.ends_with('/')) path.remove_suffix(1);
  while (true) {
    size_t slash = std::min(path.find('/'), path.size());
    auto segment = net::percent_decode(path.substr(0, slash));
    if (!segment) return bad_request("the path holds a malformed percent escape");
    if (segment->empty()) return bad_request("the path holds an empty segment");
    if (*segment == "." || *segment == "..") return bad_request("the path holds a segment of dots");
    if (segment->find('/') != std::string::npos) return bad_request("the path holds an escaped slash");
    if (slash == path.size()) return {};
    path.remove_prefix(slash + 1);
  }
}

Result<void> tell_user(const UserInfo& user, net::Headers& headers) {
  if (user.name.empty() || !carried_unchanged(user.name)) return unfit("name");
  headers.add("x-remote-user", user.name);
  if (!carried_unchanged(user.uid)) return unfit("uid");
  if (!user.uid.empty()) headers.add("x-remote-uid", user.uid);
  for (const std::string& group : user.groups) {
    if (group.empty() || !carried_unchanged(group)) return unfit("groups");
    headers.add("x-remote-group", group);
  }
  for (const auto& [key, values] : user.extra) {
    for (const std::string& value : values) {
      if (key.empty() || !carried_unchanged(value)) return unfit("extra values");
      headers.add("x-remote-extra-" + net::percent_encode(key), value);
    }
  }
  return {};
}

}  // namespace redoubt::apiserver
