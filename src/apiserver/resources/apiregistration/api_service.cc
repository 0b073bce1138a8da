// APIService: defaults, and what it may say.
#include <fmt/format.h>

#include "apiserver/resources/kinds.h"

namespace redoubt::apiserver {

namespace {

void api_service_defaults(Value& object, Arena& arena) {
  Value* spec = object.find("spec");
  if (spec == nullptr) return;
  if (Value* service = spec->find("service"); service != nullptr && service->is_object())
    set_default(*service, arena, "port", Value::integer(443));
}

void validate_api_service(const Value& object, Causes& causes) {
  Value spec = object.get({"spec"});
  std::string_view group = spec.get({"group"}).as_string(), version = spec.get({"version"}).as_string();
  std::string_view name = object.get({"metadata", "name"}).as_string();
  if (std::string wanted = fmt::format("{}.{}", version, group); name != wanted)
    invalid_value(causes, "metadata.name", name, fmt::format("must be `spec.version+\".\"+spec.group`: {}", wanted));
  if (!group.empty() && !is_dns1123_subdomain(group)) invalid_value(causes, "spec.group", group, kSubdomainMessage);
  if (!is_dns1123_label(version)) invalid_value(causes, "spec.version", version, kLabelMessage);
  int64_t least = spec.get({"groupPriorityMinimum"}).as_int(), order = spec.get({"versionPriority"}).as_int();
  if (least <= 0 || least > 20000)
    invalid_value(causes, "spec.groupPriorityMinimum", std::to_string(least), "must be positive and less than 20000");
  if (order <= 0 || order > 1000)
    invalid_value(causes, "spec.versionPriority", std::to_string(order), "must be positive and less than 1000");
  bool insecure = spec.get({"insecureSkipTLSVerify"}).as_bool(), bundle = !spec.get({"caBundle"}).as_string().empty();
  if (!spec.get({"service"}).is_object()) {
    if (bundle) invalid_value(causes, "spec.caBundle", "<data>", "local APIServices may not have a caBundle");
    if (insecure)
      invalid_value(causes, "spec.insecureSkipTLSVerify", "true",
                    "local APIServices may not have insecureSkipTLSVerify");
    return;
  }
  if (spec.get({"service", "namespace"}).as_string().empty()) required(causes, "spec.service.namespace");
  if (spec.get({"service", "name"}).as_string().empty()) required(causes, "spec.service.name");
  int64_t port = spec.get({"service", "port"}).as_int(443);
  if (port < 1 || port > 65535)
    invalid_value(causes, "spec.service.port", std::to_string(port),
                  "port is not valid: must be between 1 and 65535, inclusive");
  if (insecure && bundle)
    invalid_value(causes, "spec.insecureSkipTLSVerify", "true", "may not be true if caBundle is present");
}

}  // namespace

KindHooks api_service_hooks() {
  KindHooks hooks;
  hooks.defaults = api_service_defaults;
  hooks.validate = validate_api_service;
  // The core group's is "v1.".
  hooks.name_rule = KindHooks::NameRule::PathSegment;
  return hooks;
}

}  // namespace redoubt::apiserver
