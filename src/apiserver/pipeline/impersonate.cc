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

Result<void> refuse(const Context& c, const Attributes& a, const Decision& decision) {
  return forbidden({a.api_group, a.resource}, a.name, denial(c.user, a, decision.reason));
}

void become(Context& c, UserInfo as) {
  log_info("impersonation", {{"user", c.user.name}, {"as", as.name}});
  c.impersonator = std::exchange(c.user, std::move(as));
}

// The rights from `at` on, the first of which a webhook decides.
Task<Result<void>> wait(Services& s, Context& c, Wish wish, size_t at, Task<Decision> first) {
  Decision decision = co_await std::move(first);
  for (size_t i = at;;) {
    if (!decision.allowed) co_return refuse(c, wish.rights[i], decision);
    if (++i == wish.rights.size()) break;
    auto next = s.authorizer->authorize(c.user, wish.rights[i]);
    decision = next.is_here() ? std::move(next.value()) : co_await next.task();
  }
  become(c, std::move(wish.as));
  co_return Result<void>{};
}

}  // namespace

Verdict impersonate(Services& s, Context& c) {
  std::vector<std::string> headers;
  for (const auto& [header, value] : c.request.headers) {
    if (header.starts_with("impersonate-")) headers.push_back(header);
  }
  if (headers.empty()) return {};
  auto wish = read_wish(c.request.headers);
  // Whatever a request is handed on to must not act on them a second time.
  for (const std::string& header : headers) c.request.headers.remove(header);
  if (!wish) return Error(wish.error());
  if (wish->rights.empty()) return {};
  for (size_t i = 0; i < wish->rights.size(); ++i) {
    auto decision = s.authorizer->authorize(c.user, wish->rights[i]);
    if (!decision.is_here()) return wait(s, c, std::move(*wish), i, decision.task());
    if (!decision.value().allowed) return refuse(c, wish->rights[i], decision.value());
  }
  become(c, std::move(wish->as));
  return {};
}

}  // namespace redoubt::apiserver::pipeline
