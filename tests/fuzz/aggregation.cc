// Bytes as what an extension API server says of its resources, and as the paths and users of requests for it: whatever
// comes, discovery stays JSON, and nothing is passed on that another server would read otherwise.
#include "apiserver/aggregation/group_discovery.h"
#include "apiserver/aggregation/passed_on.h"
#include "schema/codec.h"

using namespace redoubt;
using namespace redoubt::apiserver;

namespace {

void insist(bool ok) {
  if (!ok) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  if (auto asked = asked_group_version(text)) {
    insist(!asked->group.empty() && !asked->version.empty());
    insist(asked->group.find('/') == std::string_view::npos && asked->version.find('/') == std::string_view::npos);
  }
  if (unambiguous_path(text)) insist(text.find("//") == std::string::npos && text.find("/../") == std::string::npos);
  UserInfo user;
  user.name = text;
  user.groups = {text};
  user.extra = {{text, {text}}};
  net::Headers headers;
  if (tell_user(user, headers)) {
    for (const auto& [name, value] : headers) {
      for (char c : name + value) insist(c != '\r' && c != '\n' && c != '\0');
    }
  }
  schema::Arena arena;
  SaidResources said{discovered_resources("g.example.com", "v1", text).value_or(""), true};
  std::string version = version_discovery("v1", said);
  insist(schema::parse_json(version, arena, {.max_bytes = SIZE_MAX}).has_value());
  return 0;
}
