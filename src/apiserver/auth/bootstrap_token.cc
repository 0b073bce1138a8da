#include "apiserver/auth/bootstrap_token.h"

#include <fmt/format.h>

#include "pki/jwt.h"
#include "schema/k8s/core_v1.h"
#include "schema/typed.h"

namespace redoubt::apiserver {

namespace {

// [a-z0-9]{6}.[a-z0-9]{16}
bool is_bootstrap_token(std::string_view token) {
  if (token.size() != 23 || token[6] != '.') return false;
  for (size_t i = 0; i < token.size(); ++i) {
    char c = token[i];
    if (i != 6 && !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) return false;
  }
  return true;
}

// system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9], as upstream lets a Secret name groups.
bool is_extra_group(std::string_view group) {
  constexpr std::string_view kPrefix = "system:bootstrappers:";
  if (!group.starts_with(kPrefix)) return false;
  group.remove_prefix(kPrefix.size());
  auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (group.empty() || group.size() > 256 || !plain(group.back())) return false;
  for (char c : group) {
    if (!plain(c) && c != ':' && c != '-') return false;
  }
  return true;
}

}  // namespace

Result<UserInfo> BootstrapTokens::check(std::string_view id, std::string_view secret,
                                        const store::Object& object) const {
  auto stored = schema::from_json<k8s::core::v1::Secret>(object.json);
  if (!stored || stored->type != "bootstrap.kubernetes.io/token") return unauthorized("unknown bootstrap token");
  if (stored->metadata.deletionTimestamp && !stored->metadata.deletionTimestamp->is_zero())
    return unauthorized("the bootstrap token's secret is being deleted");
  auto field = [&](const char* name) {
    auto it = stored->data.find(name);
    return it == stored->data.end() ? std::string() : it->second.bytes;
  };
  if (!pki::equal_secrets(field("token-secret"), secret) || field("token-id") != id)
    return unauthorized("wrong bootstrap token");
  if (std::string expiration = field("expiration"); !expiration.empty()) {
    auto end = parse_rfc3339(expiration);
    if (!end || *end <= now()) return unauthorized("the bootstrap token has expired");
  }
  if (field("usage-bootstrap-authentication") != "true")
    return unauthorized("the bootstrap token may not authenticate");
  UserInfo user;
  user.name = fmt::format("system:bootstrap:{}", id);
  user.groups = {std::string(kBootstrapGroup)};
  std::string extra = field("auth-extra-groups");
  std::string_view left = extra;
  while (!left.empty()) {
    size_t comma = left.find(',');
    std::string_view group = left.substr(0, comma);
    // One wrong group makes the token wrong: it would not be what its maker meant.
    if (!is_extra_group(group)) return unauthorized("the bootstrap token's auth-extra-groups are malformed");
    if (!user.in_group(group)) user.groups.emplace_back(group);
    left = comma == std::string_view::npos ? std::string_view() : left.substr(comma + 1);
  }
  user.groups.emplace_back(kAuthenticated);
  return user;
}

Attempt BootstrapTokens::authenticate(std::string_view token, const std::vector<std::string>& audiences) const {
  if (!is_bootstrap_token(token)) return {};
  std::string_view id = token.substr(0, 6), secret = token.substr(7);
  auto object = store_.snapshot("secrets")->find(fmt::format("/registry/secrets/kube-system/bootstrap-token-{}", id));
  if (!object) return {};
  auto user = check(id, secret, *object);
  if (!user) return Error(user.error());
  auto matched = common_audiences(audiences, api_audiences_);
  if (!matched) return Error(matched.error());
  return Authentication{std::move(*user), std::move(*matched), ""};
}

}  // namespace redoubt::apiserver
