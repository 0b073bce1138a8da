#include "apiserver/auth/abac.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/auth/authentication.h"
#include "base/log.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

namespace {

using schema::Value;

constexpr std::string_view kVersion = "abac.authorization.kubernetes.io/v1beta1";
constexpr std::string_view kOldVersion = "abac.authorization.kubernetes.io/v0";

bool reads(const std::string& verb) {
  return verb == "get" || verb == "list" || verb == "watch";
}

bool star_or(const std::string& pattern, const std::string& value) {
  return pattern == "*" || pattern == value;
}

}  // namespace

bool AbacPolicies::Policy::is_about(const UserInfo& who) const {
  if (user.empty() && group.empty()) return false;
  if (!user.empty() && !star_or(user, who.name)) return false;
  return group.empty() || group == "*" || who.in_group(group);
}

bool AbacPolicies::Policy::fits(const Attributes& a) const {
  if (read_only && !reads(a.verb)) return false;
  if (a.resource_request)
    return star_or(namespace_, a.namespace_) && star_or(resource, a.resource) && star_or(api_group, a.api_group);
  if (star_or(path, a.path)) return true;
  std::string_view prefix = path;
  if (!prefix.ends_with('*')) return false;
  while (prefix.ends_with('*')) prefix.remove_suffix(1);
  return a.path.starts_with(prefix);
}

Result<std::shared_ptr<const AbacPolicies>> AbacPolicies::parse(std::string_view text) {
  auto out = std::make_shared<AbacPolicies>();
  size_t number = 0, unversioned = 0;
  while (!text.empty()) {
    size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    line = trimmed(line);
    if (line.empty() || line.starts_with('#')) continue;
    auto wrong = [&](std::string_view why) { return bad_request(fmt::format("line {}: {}", number, why)); };
    schema::Arena arena;
    auto parsed = schema::parse_json(line, arena);
    if (!parsed) return wrong(parsed.error().message());
    if (!parsed->is_object()) return wrong("a JSON object is wanted");
    std::string_view version = parsed->get({"apiVersion"}).as_string(), kind = parsed->get({"kind"}).as_string();
    bool old = (version.empty() && kind.empty()) || version == kOldVersion;
    if (!old && version != kVersion)
      return wrong(fmt::format("apiVersion \"{}\" is not known: {} is wanted", version, kVersion));
    if (!kind.empty() && kind != "Policy")
      return wrong(fmt::format("kind \"{}\" is not known: Policy is wanted", kind));
    if (!old && kind.empty()) return wrong("kind: Policy is wanted");
    Value spec = old ? *parsed : parsed->get({"spec"});
    if (!spec.is_null() && !spec.is_object()) return wrong("spec: an object is wanted");
    std::string problem;
    auto field = [&](const char* name) {
      Value v = spec.get({name});
      if (!v.is_null() && !v.is_string()) problem = fmt::format("{}: a string is wanted", name);
      return std::string(v.as_string());
    };
    Policy p;
    p.user = field("user");
    p.group = field("group");
    p.resource = field("resource");
    p.namespace_ = field("namespace");
    if (Value v = spec.get({"readonly"}); !v.is_null() && !v.is_bool()) problem = "readonly: true or false is wanted";
    p.read_only = spec.get({"readonly"}).as_bool();
    bool everybody = p.user == "*" || p.group == "*";
    if (old) {
      // The old form: what is left out stands for everything.
      ++unversioned;
      everybody = everybody || (p.user.empty() && p.group.empty());
      if (p.namespace_.empty() && p.resource.empty()) p.path = "*";
      if (p.namespace_.empty()) p.namespace_ = "*";
      if (p.resource.empty()) p.resource = "*";
      p.api_group = "*";
    } else {
      p.api_group = field("apiGroup");
      p.path = field("nonResourcePath");
    }
    if (!problem.empty()) return wrong(problem);
    // A star means everybody who is somebody, never the anonymous.
    if (everybody) {
      p.user.clear();
      p.group = kAuthenticated;
    }
    out->policies_.push_back(std::move(p));
  }
  if (unversioned > 0)
    log_warning("the policy file has lines of the old form, without apiVersion and kind", {{"lines", unversioned}});
  return out;
}

Decision AbacPolicies::authorize(const UserInfo& user, const Attributes& attributes) const {
  bool allowed = std::any_of(policies_.begin(), policies_.end(),
                             [&](const Policy& p) { return p.is_about(user) && p.fits(attributes); });
  return {allowed, allowed ? "" : "No policy matched."};
}

std::vector<k8s::rbac::v1::PolicyRule> AbacPolicies::rules_for(const UserInfo& user, std::string_view ns) const {
  std::vector<k8s::rbac::v1::PolicyRule> out;
  for (const Policy& p : policies_) {
    if (!p.is_about(user) || (p.namespace_ != "*" && p.namespace_ != ns)) continue;
    k8s::rbac::v1::PolicyRule rule;
    rule.verbs = p.read_only ? std::vector<std::string>{"get", "list", "watch"} : std::vector<std::string>{"*"};
    if (!p.resource.empty()) {
      auto resources = rule;
      resources.apiGroups = {p.api_group};
      resources.resources = {p.resource};
      out.push_back(std::move(resources));
    }
    if (!p.path.empty()) {
      rule.nonResourceURLs = {p.path};
      out.push_back(std::move(rule));
    }
  }
  return out;
}

}  // namespace redoubt::apiserver
