#include "apiserver/auth/authorization_config.h"

#include <fmt/format.h>

#include <set>

#include "apiserver/auth/config_reader.h"

namespace redoubt::apiserver {

namespace {

using schema::Value;
using std::chrono::milliseconds;

constexpr std::string_view kTypes = "\"AlwaysAllow\", \"AlwaysDeny\", \"ABAC\", \"Node\", \"RBAC\", \"Webhook\"";
constexpr std::chrono::seconds kMaxTimeout{30};

// RFC 1123: labels of [a-z0-9-], joined by dots.
bool is_dns_subdomain(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  for (size_t i = 0; i < text.size(); ++i) {
    bool edge = i == 0 || i + 1 == text.size() || text[i - 1] == '.' || text[i + 1] == '.';
    if (!plain(text[i]) && (edge || (text[i] != '-' && text[i] != '.'))) return false;
  }
  return true;
}

WebhookAuthorizerConfig read_webhook(const Value& value, const std::string& path, ConfigProblems& problems) {
  ConfigObject object(value, path,
                      {"authorizedTTL", "cacheAuthorizedRequests", "unauthorizedTTL", "cacheUnauthorizedRequests",
                       "timeout", "subjectAccessReviewVersion", "matchConditionSubjectAccessReviewVersion",
                       "failurePolicy", "connectionInfo", "matchConditions"},
                      problems);
  WebhookAuthorizerConfig out;
  auto duration = [&](const char* name, std::chrono::nanoseconds most, const char* rule) {
    auto read = object.duration(name);
    if (!object.has(name)) {
      problems.required(object.path_of(name));
    } else if (read && (read->count() <= 0 || *read > most)) {
      problems.invalid(object.path_of(name), object.text(name), rule);
    }
    return std::chrono::duration_cast<milliseconds>(read.value_or(std::chrono::nanoseconds(0)));
  };
  out.timeout = duration("timeout", kMaxTimeout, "must be > 0s and <= 30s");
  out.authorized_ttl = duration("authorizedTTL", std::chrono::hours(24 * 365), "must be > 0s");
  out.unauthorized_ttl = duration("unauthorizedTTL", std::chrono::hours(24 * 365), "must be > 0s");
  out.cache_authorized = object.boolean("cacheAuthorizedRequests").value_or(true);
  out.cache_unauthorized = object.boolean("cacheUnauthorizedRequests").value_or(true);
  out.version = object.text("subjectAccessReviewVersion");
  if (out.version.empty()) {
    problems.required(object.path_of("subjectAccessReviewVersion"));
  } else if (out.version != "v1" && out.version != "v1beta1") {
    problems.not_supported(object.path_of("subjectAccessReviewVersion"), out.version, "\"v1\", \"v1beta1\"");
  }
  if (std::string version = object.text("matchConditionSubjectAccessReviewVersion");
      !version.empty() && version != "v1")
    problems.not_supported(object.path_of("matchConditionSubjectAccessReviewVersion"), version, "\"v1\"");
  if (!object.list("matchConditions").empty())
    problems.add(object.path_of("matchConditions") + ": Forbidden: CEL expressions are not supported");
  std::string policy = object.text("failurePolicy");
  out.fail_closed = policy == "Deny";
  if (policy.empty()) {
    problems.required(object.path_of("failurePolicy"));
  } else if (policy != "Deny" && policy != "NoOpinion") {
    problems.not_supported(object.path_of("failurePolicy"), policy, "\"NoOpinion\", \"Deny\"");
  }
  ConfigObject connection(object.object("connectionInfo"), object.path_of("connectionInfo"), {"type", "kubeConfigFile"},
                          problems);
  std::string type = connection.text("type");
  out.kubeconfig = connection.text("kubeConfigFile");
  if (type.empty()) {
    problems.required(connection.path_of("type"));
  } else if (type == "InClusterConfig") {
    if (!out.kubeconfig.empty())
      problems.invalid(connection.path_of("kubeConfigFile"), out.kubeconfig,
                       "can only be set when type=KubeConfigFile");
  } else if (type != "KubeConfigFile") {
    problems.not_supported(connection.path_of("type"), type, "\"InClusterConfig\", \"KubeConfigFile\"");
  } else if (out.kubeconfig.empty()) {
    problems.required(connection.path_of("kubeConfigFile"));
  } else if (!out.kubeconfig.starts_with('/')) {
    problems.invalid(connection.path_of("kubeConfigFile"), out.kubeconfig, "must be an absolute path");
  }
  return out;
}

}  // namespace

Result<AuthorizerConfig::Type> authorizer_type(std::string_view mode) {
  using Type = AuthorizerConfig::Type;
  if (mode == "Node") return Type::Node;
  if (mode == "RBAC") return Type::Rbac;
  if (mode == "Webhook") return Type::Webhook;
  if (mode == "ABAC") return Type::Abac;
  if (mode == "AlwaysAllow") return Type::AlwaysAllow;
  if (mode == "AlwaysDeny") return Type::AlwaysDeny;
  return bad_request(fmt::format("\"{}\" is not a valid mode: {}", mode, kTypes));
}

Result<std::vector<AuthorizerConfig>> parse_authorization_config(std::string_view text, bool abac) {
  schema::Arena arena;
  RD_TRY(Value root, parse_config(text, "apiserver.config.k8s.io", "AuthorizationConfiguration",
                                  {"v1", "v1beta1", "v1alpha1"}, arena));
  ConfigProblems problems;
  ConfigObject object(root, "", {"apiVersion", "kind", "authorizers"}, problems);
  std::vector<AuthorizerConfig> out;
  std::set<std::string> types, names;
  size_t i = 0;
  for (const Value& item : object.list("authorizers")) {
    ConfigObject one(item, fmt::format("authorizers[{}]", i++), {"type", "name", "webhook"}, problems);
    AuthorizerConfig read;
    std::string type = one.text("type");
    read.name = one.text("name");
    if (type.empty()) {
      problems.required(one.path_of("type"));
      continue;
    }
    auto known = authorizer_type(type);
    if (!known) {
      problems.not_supported(one.path_of("type"), type, kTypes);
      continue;
    }
    read.type = *known;
    bool webhook = read.type == AuthorizerConfig::Type::Webhook;
    if (!types.insert(type).second && !webhook) problems.duplicate(one.path_of("type"), type);
    if (read.type == AuthorizerConfig::Type::Abac && !abac)
      problems.invalid(one.path_of("type"), type, "needs --authorization-policy-file");
    if (read.name.empty()) {
      problems.required(one.path_of("name"));
    } else if (!names.insert(read.name).second) {
      problems.duplicate(one.path_of("name"), read.name);
    } else if (!is_dns_subdomain(read.name)) {
      problems.invalid(one.path_of("name"), read.name, "must be a lowercase RFC 1123 subdomain");
    }
    if (webhook && !one.has("webhook")) {
      problems.required(one.path_of("webhook"), "required when type=Webhook");
    } else if (webhook) {
      read.webhook = read_webhook(one.object("webhook"), one.path_of("webhook"), problems);
    } else if (one.has("webhook")) {
      problems.add(one.path_of("webhook") + ": Invalid value: may only be specified when type=Webhook");
    }
    out.push_back(std::move(read));
  }
  if (out.empty() && problems.empty())
    problems.required("authorizers", "at least one authorization mode must be defined");
  if (!problems.empty()) return problems.error();
  return out;
}

}  // namespace redoubt::apiserver
