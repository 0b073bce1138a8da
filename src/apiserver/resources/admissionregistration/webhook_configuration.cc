// MutatingWebhookConfiguration and ValidatingWebhookConfiguration: defaults, and what a webhook may say.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "apiserver/resources/kinds.h"

namespace redoubt::apiserver {

namespace {

void defaults_of(Value& object, Arena& arena, bool mutating) {
  Value* webhooks = object.find("webhooks");
  if (webhooks == nullptr) return;
  for (Value& hook : schema::items(*webhooks)) {
    set_default(hook, arena, "failurePolicy", Value::string("Fail"));
    set_default(hook, arena, "matchPolicy", Value::string("Equivalent"));
    set_default(hook, arena, "namespaceSelector", Value::object(arena));
    set_default(hook, arena, "objectSelector", Value::object(arena));
    set_default(hook, arena, "timeoutSeconds", Value::integer(10));
    if (mutating) set_default(hook, arena, "reinvocationPolicy", Value::string("Never"));
    if (Value* rules = hook.find("rules")) {
      for (Value& rule : schema::items(*rules)) set_default(rule, arena, "scope", Value::string("*"));
    }
    if (Value* client = hook.find("clientConfig")) {
      if (Value* service = client->find("service"); service != nullptr && service->is_object())
        set_default(*service, arena, "port", Value::integer(443));
    }
  }
}

void mutating_defaults(Value& object, Arena& arena) {
  defaults_of(object, arena, true);
}
void validating_defaults(Value& object, Arena& arena) {
  defaults_of(object, arena, false);
}

void validate_rule(const Value& rule, const std::string& path, Causes& causes) {
  std::vector<std::string_view> operations;
  for (const Value& one : schema::items(rule.get({"operations"}))) operations.push_back(one.as_string());
  if (operations.empty()) required(causes, path + ".operations");
  for (size_t i = 0; i < operations.size(); ++i) {
    std::string_view op = operations[i];
    if (op != "*" && op != "CREATE" && op != "UPDATE" && op != "DELETE" && op != "CONNECT")
      not_supported(causes, fmt::format("{}.operations[{}]", path, i), op,
                    {"*", "CONNECT", "CREATE", "DELETE", "UPDATE"});
    if (op == "*" && operations.size() > 1)
      invalid_value(causes, path + ".operations", "*", "if '*' is present, must not specify other operations");
  }
  for (const char* list : {"apiGroups", "apiVersions", "resources"}) {
    size_t count = 0;
    bool any = false;
    for (const Value& one : schema::items(rule.get({list}))) {
      ++count;
      any = any || one.as_string() == "*";
      if (std::string_view(list) == "apiVersions" && one.as_string().empty())
        required(causes, fmt::format("{}.{}[{}]", path, list, count - 1));
    }
    if (count == 0) required(causes, fmt::format("{}.{}", path, list));
    if (any && count > 1 && std::string_view(list) != "resources")
      invalid_value(causes, fmt::format("{}.{}", path, list), "*", "if '*' is present, must not specify other values");
  }
  std::string_view scope = rule.get({"scope"}).as_string("*");
  if (scope != "*" && scope != "Cluster" && scope != "Namespaced")
    not_supported(causes, path + ".scope", scope, {"*", "Cluster", "Namespaced"});
}

void validate_client(const Value& client, const std::string& path, Causes& causes) {
  bool url = !client.get({"url"}).as_string().empty(), service = client.get({"service"}).is_object();
  if (url == service) return required(causes, path, "exactly one of url or service is required");
  if (url) {
    std::string_view text = client.get({"url"}).as_string();
    if (!text.starts_with("https://")) {
      invalid_value(causes, path + ".url", text, "'https' is the only allowed URL scheme; must specify the host");
    } else if (text.find('@') != std::string_view::npos || text.find('#') != std::string_view::npos ||
               text.find('?') != std::string_view::npos) {
      invalid_value(causes, path + ".url", text, "user information, fragments and query parameters are not permitted");
    }
    return;
  }
  Value to = client.get({"service"});
  if (to.get({"name"}).as_string().empty()) required(causes, path + ".service.name", "service name is required");
  if (to.get({"namespace"}).as_string().empty())
    required(causes, path + ".service.namespace", "service namespace is required");
  int64_t port = to.get({"port"}).as_int(443);
  if (port < 1 || port > 65535)
    invalid_value(causes, path + ".service.port", std::to_string(port),
                  "port is not valid: must be between 1 and 65535, inclusive");
  std::string_view below = to.get({"path"}).as_string();
  if (!below.empty() && (!below.starts_with('/') || below.find("//") != std::string_view::npos))
    invalid_value(causes, path + ".service.path", below, "must start with a '/' and have no empty segment");
}

void validate_webhooks(const Value& object, Causes& causes) {
  std::set<std::string_view> names;
  size_t i = 0;
  for (const Value& hook : schema::items(object.get({"webhooks"}))) {
    std::string path = fmt::format("webhooks[{}]", i++);
    std::string_view name = hook.get({"name"}).as_string();
    if (name.empty()) {
      required(causes, path + ".name");
    } else if (!is_dns1123_subdomain(name) || std::ranges::count(name, '.') < 2) {
      invalid_value(causes, path + ".name", name, "should be a domain with at least three segments separated by dots");
    } else if (!names.insert(name).second) {
      add_cause(causes, "FieldValueDuplicate", path + ".name", fmt::format("Duplicate value: \"{}\"", name));
    }
    if (hook.get({"matchConditions"}).size() > 0)
      add_cause(causes, "FieldValueForbidden", path + ".matchConditions",
                "Forbidden: this server evaluates no CEL expressions yet, and ignoring the conditions would call the "
                "webhook for more than they say: select by rules, namespaceSelector and objectSelector");
    validate_client(hook.get({"clientConfig"}), path + ".clientConfig", causes);
    size_t r = 0;
    for (const Value& rule : schema::items(hook.get({"rules"})))
      validate_rule(rule, fmt::format("{}.rules[{}]", path, r++), causes);
    validate_label_selector(hook.get({"namespaceSelector"}), path + ".namespaceSelector", causes);
    validate_label_selector(hook.get({"objectSelector"}), path + ".objectSelector", causes);
    std::string_view failure = hook.get({"failurePolicy"}).as_string("Fail");
    if (failure != "Fail" && failure != "Ignore")
      not_supported(causes, path + ".failurePolicy", failure, {"Fail", "Ignore"});
    std::string_view match = hook.get({"matchPolicy"}).as_string("Equivalent");
    if (match != "Exact" && match != "Equivalent")
      not_supported(causes, path + ".matchPolicy", match, {"Equivalent", "Exact"});
    std::string_view effects = hook.get({"sideEffects"}).as_string();
    if (effects.empty()) {
      required(causes, path + ".sideEffects", "must specify one of None, NoneOnDryRun");
    } else if (effects != "None" && effects != "NoneOnDryRun") {
      not_supported(causes, path + ".sideEffects", effects, {"None", "NoneOnDryRun"});
    }
    int64_t timeout = hook.get({"timeoutSeconds"}).as_int(10);
    if (timeout < 1 || timeout > 30)
      invalid_value(causes, path + ".timeoutSeconds", std::to_string(timeout),
                    "the timeout value must be between 1 and 30 seconds");
    std::string_view again = hook.get({"reinvocationPolicy"}).as_string("Never");
    if (again != "Never" && again != "IfNeeded")
      not_supported(causes, path + ".reinvocationPolicy", again, {"IfNeeded", "Never"});
    bool v1 = false;
    size_t versions = 0;
    for (const Value& one : schema::items(hook.get({"admissionReviewVersions"}))) {
      ++versions;
      v1 = v1 || one.as_string() == "v1";
    }
    if (versions == 0) {
      required(causes, path + ".admissionReviewVersions", "must specify one of v1");
    } else if (!v1) {
      invalid_value(causes, path + ".admissionReviewVersions", "", "must include at least one of v1");
    }
  }
}

}  // namespace

KindHooks mutating_webhook_hooks() {
  KindHooks hooks;
  hooks.defaults = mutating_defaults;
  hooks.validate = validate_webhooks;
  return hooks;
}
KindHooks validating_webhook_hooks() {
  KindHooks hooks;
  hooks.defaults = validating_defaults;
  hooks.validate = validate_webhooks;
  return hooks;
}

}  // namespace redoubt::apiserver
