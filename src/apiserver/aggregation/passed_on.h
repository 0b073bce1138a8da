// What of a request goes on to an extension API server: pure functions of it. Any thread.
#pragma once
#include <optional>
#include <string_view>
#include <utility>

#include "apiserver/auth/user.h"
#include "base/status.h"
#include "net/http.h"

namespace redoubt::apiserver {

// The group and version of "/apis/G/V[/...]" and of "/openapi/v3/apis/G/V"; views into the path.
struct AskedGroupVersion {
  std::string_view group, version, group_version;
};
std::optional<AskedGroupVersion> asked_group_version(std::string_view path);

// A path that other servers might read otherwise than the authorizer did: escaped slashes, dot segments, empty
// segments. BadRequest says which.
Result<void> unambiguous_path(std::string_view path);

// The user as a front proxy says it (X-Remote-User, -Uid, -Group, -Extra-). BadRequest for what a header would carry
// changed: control characters, blanks at an end, an empty name or group.
Result<void> tell_user(const UserInfo& user, net::Headers& headers);

}  // namespace redoubt::apiserver
