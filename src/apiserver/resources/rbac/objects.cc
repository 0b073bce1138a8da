// RBAC's kinds and leases.
#include "apiserver/resources/kinds.h"

namespace redoubt::apiserver {

KindHooks rbac_hooks() {
  KindHooks hooks;
  hooks.name_rule = KindHooks::NameRule::PathSegment;
  hooks.validate = [](const Value& role, Causes& causes) {
    Value rules = role.get({"rules"});
    for (size_t i = 0; i < rules.size(); ++i) {
      const Value& rule = rules.at(i);
      std::string at = fmt::format("rules[{}]", i);
      if (rule.get({"verbs"}).empty()) required(causes, at + ".verbs", "verbs must contain at least one value");
      if (rule.get({"nonResourceURLs"}).size() > 0) {
        if (role.get({"kind"}).as_string() == "Role")
          invalid_value(causes, at + ".nonResourceURLs", "", "namespaced rules cannot apply to non-resource URLs");
        continue;
      }
      if (rule.get({"apiGroups"}).empty())
        required(causes, at + ".apiGroups", "resource rules must supply at least one api group");
      if (rule.get({"resources"}).empty())
        required(causes, at + ".resources", "resource rules must supply at least one resource");
    }
  };
  return hooks;
}

KindHooks rbac_binding_hooks() {
  KindHooks hooks;
  hooks.name_rule = KindHooks::NameRule::PathSegment;
  hooks.defaults = [](Value& binding, Arena& arena) {
    set_default(binding.object_at(arena, "roleRef"), arena, "apiGroup", Value::string("rbac.authorization.k8s.io"));
    for (Value& subject : schema::items(binding.get({"subjects"}))) {
      std::string_view kind = subject.get({"kind"}).as_string();
      if (kind == "User" || kind == "Group")
        set_default(subject, arena, "apiGroup", Value::string("rbac.authorization.k8s.io"));
    }
  };
  hooks.validate = [](const Value& binding, Causes& causes) {
    std::string_view kind = binding.get({"roleRef", "kind"}).as_string();
    if (kind != "Role" && kind != "ClusterRole") not_supported(causes, "roleRef.kind", kind, {"ClusterRole", "Role"});
    if (binding.get({"roleRef", "name"}).as_string().empty()) required(causes, "roleRef.name");
    Value subjects = binding.get({"subjects"});
    for (size_t i = 0; i < subjects.size(); ++i) {
      std::string at = fmt::format("subjects[{}]", i);
      std::string_view subject = subjects.at(i).get({"kind"}).as_string();
      if (subject != "User" && subject != "Group" && subject != "ServiceAccount")
        not_supported(causes, at + ".kind", subject, {"ServiceAccount", "User", "Group"});
      if (subjects.at(i).get({"name"}).as_string().empty()) required(causes, at + ".name");
      if (subject == "ServiceAccount" && subjects.at(i).get({"namespace"}).as_string().empty())
        required(causes, at + ".namespace");
    }
  };
  hooks.validate_update = [](const Value& binding, const Value& old, Causes& causes) {
    if (!binding.get({"roleRef"}).equals(old.get({"roleRef"})))
      add_cause(causes, "FieldValueInvalid", "roleRef", "Invalid value: cannot change roleRef");
  };
  return hooks;
}

KindHooks lease_hooks() {
  KindHooks hooks;
  hooks.spec_bumps_generation = false;
  return hooks;
}

}  // namespace redoubt::apiserver
