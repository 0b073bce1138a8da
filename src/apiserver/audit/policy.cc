#include "apiserver/audit/policy.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/audit/limits.h"
#include "schema/codec.h"

namespace redoubt::apiserver::audit {

namespace {

using schema::Value;

constexpr std::string_view kLevels[] = {"None", "Metadata", "Request", "RequestResponse"};
constexpr std::string_view kStages[] = {"RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"};

bool has(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

// Members of an object, each of which has to be known.
Result<void> known_fields(const Value& object, std::string_view path, std::initializer_list<std::string_view> known) {
  for (const schema::Member& member : schema::members(object)) {
    if (std::find(known.begin(), known.end(), member.key) == known.end()) {
      return bad_request(fmt::format("unknown field \"{}{}{}\"; known here: {}", path, path.empty() ? "" : ".",
                                     member.key, fmt::join(known, ", ")));
    }
  }
  return {};
}

Result<std::vector<std::string>> strings(const Value& object, std::string_view field, const std::string& path) {
  std::vector<std::string> out;
  const Value* list = object.find(field);
  if (list == nullptr || list->is_null()) return out;
  if (!list->is_array()) return bad_request(fmt::format("{}.{}: must be a list of strings", path, field));
  for (const Value& item : schema::items(*list)) {
    if (!item.is_string()) return bad_request(fmt::format("{}.{}: must be a list of strings", path, field));
    out.emplace_back(item.as_string());
  }
  return out;
}

Result<StageSet> stages(const Value& object, const std::string& path) {
  RD_TRY(auto names, strings(object, "omitStages", path));
  StageSet out;
  for (size_t i = 0; i < names.size(); ++i) {
    const auto* found = std::find(std::begin(kStages), std::end(kStages), names[i]);
    if (found == std::end(kStages)) {
      return bad_request(fmt::format("{}omitStages[{}]: Invalid value: \"{}\": allowed stages are {}",
                                     path.empty() ? "" : path + ".", i, names[i], fmt::join(kStages, ",")));
    }
    out.add(static_cast<Stage>(found - std::begin(kStages)));
  }
  return out;
}

Result<bool> boolean(const Value& object, std::string_view field, const std::string& path, bool fallback) {
  const Value* value = object.find(field);
  if (value == nullptr || value->is_null()) return fallback;
  if (!value->is_bool()) return bad_request(fmt::format("{}.{}: must be true or false", path, field));
  return value->as_bool();
}

bool is_dns_subdomain(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  bool start = true;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    bool end = i + 1 == text.size() || text[i + 1] == '.';
    if (c == '.' ? start : !word && (c != '-' || start || end)) return false;
    start = c == '.';
  }
  return !start;
}

Result<void> check_urls(const std::vector<std::string>& urls, const std::string& path) {
  for (size_t i = 0; i < urls.size(); ++i) {
    const std::string& url = urls[i];
    if (url == "*") continue;
    auto wrong = [&](std::string_view why) {
      return bad_request(fmt::format("{}.nonResourceURLs[{}]: Invalid value: \"{}\": {}", path, i, url, why));
    };
    if (!url.starts_with('/')) return wrong("non-resource URL rules must begin with a '/' character");
    if (size_t star = url.find('*'); star != std::string::npos && star + 1 != url.size())
      return wrong("non-resource URL wildcards '*' must be the final character of the rule");
  }
  return {};
}

Result<GroupResources> parse_resources(const Value& value, const std::string& path) {
  if (!value.is_object()) return bad_request(fmt::format("{}: must be an object", path));
  RD_TRYV(known_fields(value, path, {"group", "resources", "resourceNames"}));
  GroupResources out;
  if (const Value* group = value.find("group")) {
    if (!group->is_string() && !group->is_null()) return bad_request(fmt::format("{}.group: must be a string", path));
    out.group = group->as_string();
  }
  if (!out.group.empty() && !is_dns_subdomain(out.group)) {
    return bad_request(
        fmt::format("{}.group: Invalid value: \"{}\": a group's name without version, in lower case (a lowercase RFC "
                    "1123 subdomain)",
                    path, out.group));
  }
  RD_TRY(out.resources, strings(value, "resources", path));
  RD_TRY(out.resource_names, strings(value, "resourceNames", path));
  if (!out.resource_names.empty() && out.resources.empty()) {
    return bad_request(
        fmt::format("{}.resourceNames: Invalid value: using resourceNames requires at least one resource", path));
  }
  return out;
}

Result<Rule> parse_rule(const Value& value, const Policy& policy, const std::string& path) {
  if (!value.is_object()) return bad_request(fmt::format("{}: must be an object", path));
  RD_TRYV(known_fields(value, path,
                       {"level", "users", "userGroups", "verbs", "resources", "namespaces", "nonResourceURLs",
                        "omitStages", "omitManagedFields"}));
  Rule rule;
  std::string_view level = value.get({"level"}).as_string();
  if (level.empty()) return bad_request(fmt::format("{}.level: Required value", path));
  const auto* found = std::find(std::begin(kLevels), std::end(kLevels), level);
  if (found == std::end(kLevels)) {
    return bad_request(fmt::format("{}.level: Unsupported value: \"{}\": supported values: \"{}\"", path, level,
                                   fmt::join(kLevels, "\", \"")));
  }
  rule.level = static_cast<Level>(found - std::begin(kLevels));
  RD_TRY(rule.users, strings(value, "users", path));
  RD_TRY(rule.user_groups, strings(value, "userGroups", path));
  RD_TRY(rule.verbs, strings(value, "verbs", path));
  RD_TRY(rule.namespaces, strings(value, "namespaces", path));
  RD_TRY(rule.non_resource_urls, strings(value, "nonResourceURLs", path));
  RD_TRYV(check_urls(rule.non_resource_urls, path));
  Value resources = value.get({"resources"});
  if (!resources.is_null() && !resources.is_array())
    return bad_request(fmt::format("{}.resources: must be a list", path));
  for (size_t i = 0; i < resources.size(); ++i) {
    RD_TRY(GroupResources one, parse_resources(resources.at(i), fmt::format("{}.resources[{}]", path, i)));
    rule.resources.push_back(std::move(one));
  }
  if (!rule.non_resource_urls.empty() && (!rule.resources.empty() || !rule.namespaces.empty())) {
    return bad_request(fmt::format(
        "{}.nonResourceURLs: Invalid value: rules cannot apply to both regular resources and non-resource URLs", path));
  }
  RD_TRY(rule.omit_stages, stages(value, path));
  rule.omit_stages.add(policy.omit_stages);
  RD_TRY(rule.omit_managed_fields, boolean(value, "omitManagedFields", path, policy.omit_managed_fields));
  return rule;
}

bool path_matches(std::string_view path, std::string_view spec) {
  if (spec == "*" || spec == path) return true;
  if (!spec.ends_with('*')) return false;
  spec.remove_suffix(1);
  return path.starts_with(spec);
}

// How closely an entry of `resources` names a request: not at all, by a wildcard, or by its very name.
enum class Naming : uint8_t { No, Wildcard, Exact };

Naming names(std::string_view entry, const Subject& s) {
  size_t slash = entry.find('/');
  std::string_view resource = entry.substr(0, slash);
  std::string_view subresource = slash == std::string_view::npos ? std::string_view() : entry.substr(slash + 1);
  if (entry == "*") return Naming::Wildcard;
  if (resource == s.resource && subresource == s.subresource) return Naming::Exact;
  if (slash == std::string_view::npos) return Naming::No;
  if (resource == "*" && !s.subresource.empty() && subresource == s.subresource) return Naming::Wildcard;
  // As upstream: "pods/*" matches pods themselves too.
  if (subresource == "*" && resource == s.resource) return Naming::Wildcard;
  return Naming::No;
}

Naming matches_resources(const Rule& rule, const Subject& s) {
  if (!s.resource_request) return Naming::No;
  if (!rule.namespaces.empty() && !has(rule.namespaces, s.namespace_)) return Naming::No;
  if (rule.resources.empty()) return Naming::Wildcard;
  Naming best = Naming::No;
  for (const GroupResources& group : rule.resources) {
    if (group.group != s.group) continue;
    if (group.resources.empty()) best = std::max(best, Naming::Wildcard);
    if (!group.resource_names.empty() && !has(group.resource_names, s.name)) continue;
    for (const std::string& entry : group.resources) best = std::max(best, names(entry, s));
  }
  return best;
}

Naming matches(const Rule& rule, const Subject& s) {
  if (!rule.users.empty() && (s.user == nullptr || !has(rule.users, s.user->name))) return Naming::No;
  if (!rule.user_groups.empty() &&
      (s.user == nullptr || std::none_of(s.user->groups.begin(), s.user->groups.end(),
                                         [&](const std::string& group) { return has(rule.user_groups, group); })))
    return Naming::No;
  if (!rule.verbs.empty() && !has(rule.verbs, s.verb)) return Naming::No;
  if (!rule.namespaces.empty() || !rule.resources.empty()) return matches_resources(rule, s);
  if (rule.non_resource_urls.empty()) return Naming::Wildcard;
  if (s.resource_request) return Naming::No;
  for (const std::string& spec : rule.non_resource_urls) {
    if (path_matches(s.path, spec)) return Naming::Wildcard;
  }
  return Naming::No;
}

// Every write, who read Secrets, who reached into pods and nodes, and whom the API turned away at the door; not the
// health checks, leases and status reports that a quiet cluster is full of.
constexpr std::string_view kDefaultPolicy = R"(
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: None
  nonResourceURLs: ["/healthz*", "/livez*", "/readyz*", "/version", "/metrics", "/openapi*"]
  verbs: ["get"]
# Heartbeats, elections and what controllers report again and again.
- level: None
  verbs: ["update", "patch", "create"]
  userGroups: ["system:nodes"]
  resources:
  - group: coordination.k8s.io
    resources: ["leases"]
  - group: ""
    resources: ["nodes/status", "pods/status", "events"]
  - group: events.k8s.io
    resources: ["events"]
- level: None
  users: ["system:kube-scheduler", "system:kube-controller-manager", "system:apiserver"]
  verbs: ["get", "list", "watch", "update", "patch"]
  resources:
  - group: coordination.k8s.io
    resources: ["leases"]
- level: None
  resources:
  - group: ""
    resources: ["events"]
  - group: events.k8s.io
    resources: ["events"]
# Reads of what is secret, and every way into a pod, a node or another identity.
- level: Metadata
  resources:
  - group: ""
    resources: ["secrets", "serviceaccounts/token", "pods/exec", "pods/attach", "pods/portforward", "pods/log",
                "pods/ephemeralcontainers", "pods/proxy", "services/proxy", "nodes/proxy"]
  - group: authentication.k8s.io
    resources: ["tokenreviews"]
# Questions about rights change nothing.
- level: None
  resources:
  - group: authorization.k8s.io
  - group: authentication.k8s.io
- level: Metadata
  verbs: ["create", "update", "patch", "delete", "deletecollection", "approve", "impersonate"]
# Who is nobody and still asks for more than its health.
- level: Metadata
  users: ["system:anonymous"]
)";

}  // namespace

std::string_view level_name(Level level) {
  return kLevels[static_cast<size_t>(level)];
}
std::string_view stage_name(Stage stage) {
  return kStages[static_cast<size_t>(stage)];
}

Result<Policy> parse_policy(std::string_view text) {
  schema::Arena arena;
  schema::DecodeWarnings warnings;
  RD_TRY(Value file, schema::parse_yaml(text, arena, {.max_bytes = kMaxPolicyBytes, .max_depth = 32}, &warnings));
  if (!warnings.strict.empty()) return bad_request(fmt::format("{}", fmt::join(warnings.strict, ", ")));
  if (!file.is_object())
    return bad_request("the audit policy is no object: it starts with apiVersion: audit.k8s.io/v1");
  std::string_view version = file.get({"apiVersion"}).as_string(), kind = file.get({"kind"}).as_string();
  if (version != "audit.k8s.io/v1" || kind != "Policy") {
    return bad_request(fmt::format(
        "unknown group version field {}, Kind={} in policy: write apiVersion: audit.k8s.io/v1, kind: Policy", version,
        kind));
  }
  RD_TRYV(known_fields(file, "", {"apiVersion", "kind", "metadata", "rules", "omitStages", "omitManagedFields"}));
  Policy policy;
  RD_TRY(policy.omit_stages, stages(file, ""));
  RD_TRY(policy.omit_managed_fields, boolean(file, "omitManagedFields", "policy", false));
  Value rules = file.get({"rules"});
  if (!rules.is_null() && !rules.is_array()) return bad_request("rules: must be a list");
  for (size_t i = 0; i < rules.size(); ++i) {
    RD_TRY(Rule rule, parse_rule(rules.at(i), policy, fmt::format("rules[{}]", i)));
    policy.rules.push_back(std::move(rule));
  }
  if (policy.rules.empty()) return bad_request("loaded illegal policy with 0 rules");
  return policy;
}

const Policy& default_policy() {
  static const Policy policy = [] {
    Policy made = *parse_policy(kDefaultPolicy);
    made.record_refusals = true;
    return made;
  }();
  return policy;
}

bool carries_secrets(const Subject& s) {
  if (!s.resource_request) return false;
  if (s.group.empty()) return s.resource == "secrets" || (s.resource == "serviceaccounts" && s.subresource == "token");
  return s.group == "authentication.k8s.io" && s.resource == "tokenreviews";
}

Verdict evaluate(const Policy& policy, const Subject& subject) {
  for (const Rule& rule : policy.rules) {
    Naming naming = matches(rule, subject);
    if (naming == Naming::No) continue;
    Verdict verdict{rule.level, rule.omit_stages, rule.omit_managed_fields};
    verdict.when_refused = policy.record_refusals && rule.level == Level::None;
    verdict.bodies_withheld = rule.level >= Level::Request && naming != Naming::Exact && carries_secrets(subject);
    return verdict;
  }
  return {Level::None, policy.omit_stages, policy.omit_managed_fields, false, policy.record_refusals};
}

}  // namespace redoubt::apiserver::audit
