#include "apiserver/pipeline/pipeline.h"
#include "base/log.h"

namespace redoubt::apiserver::pipeline {

namespace {

constexpr std::string_view kUser = "impersonate-user", kGroup = "impersonate-group", kUid = "impersonate-uid",
                           kExtra = "impersonate-extra-", kAccount = "system:serviceaccount:";

// Whom a request asks to be, and each right that it takes: the verb "impersonate" on the user or service account, and
// on every group, uid and extra.
struct Wish {
  UserInfo as;
  std::vector<Attributes> rights;
};

Result<Wish> read_wish(const net::Headers& headers) {
  Wish out;
  auto needs = [&](std::string_view group, std::string_view resource, std::string_view subresource, std::string_view ns,
                   std::string_view name) {
    Attributes a;
    a.verb = "impersonate";
    a.api_group = group;
    a.api_version = "v1";
    a.resource = resource;
    a.subresource = subresource;
    a.namespace_ = ns;
    a.name = name;
    out.rights.push_back(std::move(a));
  };
  std::string_view name = headers.get(kUser).value_or("");
  out.as.name = name;
  std::string_view account_namespace;
  if (name.starts_with(kAccount)) {
    std::string_view rest = name.substr(kAccount.size());
    size_t colon = rest.find(':');
    if (colon == 0 || colon == std::string_view::npos || colon + 1 == rest.size() ||
        rest.find(':', colon + 1) != std::string_view::npos)
      return bad_request(
          "Impersonate-User: malformed service account name, system:serviceaccount:NAMESPACE:NAME is wanted");
    account_namespace = rest.substr(0, colon);
    needs("", "serviceaccounts", "", account_namespace, rest.substr(colon + 1));
  } else if (!name.empty()) {
    needs("", "users", "", "", name);
  }
  for (std::string_view group : headers.get_all(kGroup)) {
    needs("", "groups", "", "", group);
    out.as.groups.emplace_back(group);
  }
  if (auto uid = headers.get(kUid); uid && !uid->empty()) {
    needs("authentication.k8s.io", "uids", "", "", *uid);
    out.as.uid = *uid;
  }
  for (const auto& [header, value] : headers) {
    if (!header.starts_with(kExtra)) continue;
    std::string_view escaped = std::string_view(header).substr(kExtra.size());
    // As upstream: a key that does not decode is taken as it stands.
    std::string key = net::percent_decode(escaped).value_or(std::string(escaped));
    needs("authentication.k8s.io", "userextras", key, "", value);
    out.as.extra[key].push_back(value);
  }
  if (name.empty() && !out.rights.empty()) return bad_request("requested impersonation without impersonating a user");
  if (out.as.groups.empty() && !account_namespace.empty())
    out.as.groups = {"system:serviceaccounts", "system:serviceaccounts:" + std::string(account_namespace)};
  if (!out.as.in_group("system:authenticated") && !out.as.in_group("system:unauthenticated"))
    out.as.groups.emplace_back(out.as.is_anonymous() ? "system:unauthenticated" : "system:authenticated");
  return out;
}

}  // namespace

Verdict impersonate(Services& s, Context& c) {
  bool asked = false;
  for (const auto& [header, value] : c.request.headers) asked = asked || header.starts_with("impersonate-");
  if (!asked) return {};
  auto wish = read_wish(c.request.headers);
  if (!wish) return Error(wish.error());
  for (const Attributes& a : wish->rights) {
    if (!s.authorizer.authorize(c.user, a).allowed)
      return forbidden({a.api_group, a.resource}, a.name, denial(c.user, a));
  }
  // Whatever a request is handed on to must not act on them a second time.
  std::vector<std::string> names;
  for (const auto& [header, value] : c.request.headers) {
    if (header.starts_with("impersonate-")) names.push_back(header);
  }
  for (const std::string& header : names) c.request.headers.remove(header);
  if (wish->rights.empty()) return {};
  log_info("impersonation", {{"user", c.user.name}, {"as", wish->as.name}});
  c.impersonator = std::exchange(c.user, std::move(wish->as));
  return {};
}

}  // namespace redoubt::apiserver::pipeline
