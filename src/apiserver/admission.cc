#include "apiserver/admission.h"

#include "apiserver/auth/certificate_restriction.h"
#include "apiserver/auth/node_restriction.h"
#include "apiserver/auth/seen_addresses.h"
#include "base/random.h"
#include "schema/k8s/core_v1.h"
#include "schema/typed.h"

namespace redoubt::apiserver {

namespace {

bool is(const Context& c, std::string_view group, std::string_view resource) {
  return c.info.group == group && c.info.resource == resource;
}

constexpr std::string_view kTokenPath = "/var/run/secrets/kubernetes.io/serviceaccount";

void tolerate(Value& spec, Arena& arena, std::string_view key) {
  Value tolerations = spec.get({"tolerations"});
  for (const Value& t : schema::items(tolerations)) {
    std::string_view k = t.get({"key"}).as_string(), effect = t.get({"effect"}).as_string();
    if ((k == key || k.empty()) && (effect == "NoExecute" || effect.empty())) return;
  }
  if (!tolerations.is_array()) tolerations = spec.set(arena, "tolerations", Value::array(arena));
  Value t = Value::object(arena);
  t.set(arena, "key", Value::string(key));
  t.set(arena, "operator", Value::string("Exists"));
  t.set(arena, "effect", Value::string("NoExecute"));
  t.set(arena, "tolerationSeconds", Value::integer(300));
  tolerations.push_back(arena, t);
}

}  // namespace

Result<void> Admission::mutate_create(Context& c, Value& object) const {
  // A namespace that is not there, or on its way out, takes nothing new.
  if (c.resource->namespaced && !c.resource->storage_prefix.empty()) {
    std::string_view ns = c.info.namespace_;
    auto found = store_.snapshot("namespaces")->find("/registry/namespaces/" + std::string(ns));
    if (!found) return not_found({"", "namespaces"}, ns);
    bool terminating = false;
    for (const auto& [field, value] : found->fields)
      terminating = terminating || (field == "status.phase" && value == "Terminating");
    if (terminating) {
      Error error =
          forbidden(c.group_resource(), object.get({"metadata", "name"}).as_string(),
                    fmt::format("unable to create new content in namespace {} because it is being terminated", ns));
      Status status = std::move(error).error();
      status.details().causes.push_back(
          {"NamespaceTerminating", fmt::format("namespace {} is being terminated", ns), "metadata.namespace"});
      return Error(std::move(status));
    }
  }
  if (is(c, "certificates.k8s.io", "certificatesigningrequests")) {
    // Who asks is what the server knows, not what the request says.
    Value& spec = object.object_at(c.arena, "spec");
    for (const char* field : {"username", "uid", "groups", "extra"}) spec.erase(field);
    spec.set(c.arena, "username", Value::string(c.arena.copy(c.user.name)));
    if (!c.user.uid.empty()) spec.set(c.arena, "uid", Value::string(c.arena.copy(c.user.uid)));
    Value groups = Value::array(c.arena);
    for (const std::string& group : c.user.groups) groups.push_back(c.arena, Value::string(c.arena.copy(group)));
    spec.set(c.arena, "groups", groups);
    Value annotations = object.get({"metadata", "annotations"});
    if (annotations.is_object())
      object.object_at(c.arena, "metadata").object_at(c.arena, "annotations").erase(kSeenAddressesAnnotation);
    std::string_view node = c.user.node_name();
    if (!node.empty() && c.seen_addresses != nullptr) {
      std::string seen = fmt::format("{}", fmt::join(c.seen_addresses->of(node), ","));
      object.object_at(c.arena, "metadata")
          .object_at(c.arena, "annotations")
          .set(c.arena, kSeenAddressesAnnotation, Value::string(c.arena.copy(seen)));
    }
  }
  if (is(c, "", "pods") && c.info.subresource.empty()) {
    RD_TRYV(service_account(c, object));
    RD_TRYV(priority(c, object));
    Value& spec = object.object_at(c.arena, "spec");
    tolerate(spec, c.arena, "node.kubernetes.io/not-ready");
    tolerate(spec, c.arena, "node.kubernetes.io/unreachable");
  }
  return {};
}

// The default account, and the volume that carries its token, the cluster's CA and the namespace into every container.
Result<void> Admission::service_account(Context& c, Value& pod) const {
  Arena& arena = c.arena;
  Value& spec = pod.object_at(arena, "spec");
  if (pod.get({"metadata", "annotations", "kubernetes.io/config.mirror"}).is_string()) return {};
  std::string_view name = spec.get({"serviceAccountName"}).as_string();
  if (name.empty()) name = spec.get({"serviceAccount"}).as_string();
  if (name.empty()) name = "default";
  name = arena.copy(name);
  spec.set(arena, "serviceAccountName", Value::string(name));
  spec.set(arena, "serviceAccount", Value::string(name));
  auto stored =
      store_.snapshot("serviceaccounts")->find(fmt::format("/registry/serviceaccounts/{}/{}", c.info.namespace_, name));
  if (!stored) {
    return forbidden({"", "pods"}, pod.get({"metadata", "name"}).as_string(),
                     fmt::format("error looking up service account {}/{}: serviceaccount \"{}\" not found",
                                 c.info.namespace_, name, name));
  }
  auto account = schema::from_json<k8s::core::v1::ServiceAccount>(stored->json);
  if (!account) return Error(account.error());
  if (!spec.has("imagePullSecrets") && !account->imagePullSecrets.empty()) {
    Value list = Value::array(arena);
    for (const auto& secret : account->imagePullSecrets) {
      Value one = Value::object(arena);
      one.set(arena, "name", Value::string(arena.copy(secret.name)));
      list.push_back(arena, one);
    }
    spec.set(arena, "imagePullSecrets", list);
  }
  bool mount = account->automountServiceAccountToken.value_or(true);
  if (Value wish = spec.get({"automountServiceAccountToken"}); wish.is_bool()) mount = wish.as_bool();
  if (!mount) return {};

  std::string_view volume_name;
  for (const Value& volume : schema::items(spec.get({"volumes"}))) {
    if (volume.get({"name"}).as_string().starts_with("kube-api-access-"))
      volume_name = volume.get({"name"}).as_string();
  }
  bool needed = false;
  for (const char* list : {"initContainers", "containers"}) {
    for (Value& container : schema::items(spec.get({list}))) {
      bool mounted = false;
      for (const Value& m : schema::items(container.get({"volumeMounts"})))
        mounted = mounted || m.get({"mountPath"}).as_string() == kTokenPath;
      if (mounted) continue;
      if (volume_name.empty()) volume_name = arena.copy("kube-api-access-" + random_suffix());
      Value mounts = container.get({"volumeMounts"});
      if (!mounts.is_array()) mounts = container.set(arena, "volumeMounts", Value::array(arena));
      Value m = Value::object(arena);
      m.set(arena, "name", Value::string(volume_name));
      m.set(arena, "readOnly", Value::boolean(true));
      m.set(arena, "mountPath", Value::string(kTokenPath));
      mounts.push_back(arena, m);
      needed = true;
    }
  }
  // A container that came later (a webhook's sidecar) shares the volume that is there.
  for (const Value& volume : schema::items(spec.get({"volumes"}))) {
    if (volume.get({"name"}).as_string() == volume_name) needed = false;
  }
  if (!needed) return {};
  Value volumes = spec.get({"volumes"});
  if (!volumes.is_array()) volumes = spec.set(arena, "volumes", Value::array(arena));
  auto volume = schema::parse_json(
      arena.copy(fmt::format(
          R"({{"name":"{}","projected":{{"defaultMode":420,"sources":[{{"serviceAccountToken":{{"expirationSeconds":3607,"path":"token"}}}},)"
          R"({{"configMap":{{"name":"kube-root-ca.crt","items":[{{"key":"ca.crt","path":"ca.crt"}}]}}}},)"
          R"({{"downwardAPI":{{"items":[{{"path":"namespace","fieldRef":{{"apiVersion":"v1","fieldPath":"metadata.namespace"}}}}]}}}}]}}}})",
          volume_name)),
      arena);
  if (!volume) return Error(volume.error());
  volumes.push_back(arena, *volume);
  return {};
}

Result<void> Admission::priority(Context& c, Value& pod) const {
  Arena& arena = c.arena;
  Value& spec = pod.object_at(arena, "spec");
  std::string name(spec.get({"priorityClassName"}).as_string());
  int64_t value = 0;
  std::string policy = "PreemptLowerPriority";
  auto classes = store_.snapshot("priorityclasses");
  if (!name.empty()) {
    auto stored = classes->find("/registry/priorityclasses/" + name);
    if (!stored)
      return forbidden({"", "pods"}, pod.get({"metadata", "name"}).as_string(),
                       fmt::format("no PriorityClass with name {} was found", name));
    auto parsed = schema::parse_json(arena.copy(stored->json.view()), arena);
    value = parsed->get({"value"}).as_int();
    policy = parsed->get({"preemptionPolicy"}).as_string(policy);
  } else {
    classes->visit("", "", [&](const store::ObjectPtr& object) {
      auto parsed = schema::parse_json(arena.copy(object->json.view()), arena);
      if (!parsed || !parsed->get({"globalDefault"}).as_bool()) return true;
      name = object->name;
      value = parsed->get({"value"}).as_int();
      policy = parsed->get({"preemptionPolicy"}).as_string(policy);
      return false;
    });
  }
  if (!name.empty()) spec.set(arena, "priorityClassName", Value::string(arena.copy(name)));
  if (Value asked = spec.get({"priority"}); asked.is_int() && asked.as_int() != value) {
    return forbidden({"", "pods"}, pod.get({"metadata", "name"}).as_string(),
                     fmt::format("the integer value of priority ({}) must not be provided in pod spec; priority "
                                 "admission controller computed {} from the given PriorityClass name",
                                 asked.as_int(), value));
  }
  spec.set(arena, "priority", Value::integer(value));
  set_default(spec, arena, "preemptionPolicy", Value::string(arena.copy(policy)));
  return {};
}

namespace {

Task<Result<void>> wait_for_right(Error denial, Task<bool> allowed) {
  if (co_await std::move(allowed)) co_return Result<void>{};
  co_return denial;
}

}  // namespace

Pending<Result<void>> Admission::validate(Context& c, const Value& object, const Value& old) const {
  if (auto ok = node_restriction(c, object, old); !ok) return ok;
  std::optional<NeededRight> needed;
  if (is(c, "certificates.k8s.io", "certificatesigningrequests")) {
    if (!old.is_null() && object.get({"metadata", "annotations", kSeenAddressesAnnotation}).as_string() !=
                              old.get({"metadata", "annotations", kSeenAddressesAnnotation}).as_string())
      return forbidden(c.group_resource(), object.get({"metadata", "name"}).as_string(),
                       fmt::format("the annotation {} is the API server's own", kSeenAddressesAnnotation));
    needed = certificate_restriction(c.info.subresource, object, old);
  } else {
    needed = rbac_escalation(c, object, old);
  }
  if (!needed || needed->denial.empty()) return Result<void>{};
  Error denial = forbidden(c.group_resource(), object.get({"metadata", "name"}).as_string(), needed->denial);
  auto allowed = authorizer_.allows_any(c.user, std::move(needed->any_of));
  if (!allowed.is_here()) return wait_for_right(std::move(denial), allowed.task());
  if (allowed.value()) return Result<void>{};
  return denial;
}

Result<void> Admission::validate_delete(Context& c, const Value& old) const {
  if (is(c, "", "namespaces")) {
    std::string_view name = old.get({"metadata", "name"}).as_string();
    if (name == "default" || name == "kube-system" || name == "kube-public")
      return forbidden({"", "namespaces"}, name, "this namespace may not be deleted");
  }
  return node_restriction(c, Value(), old);
}

Result<void> Admission::node_restriction(Context& c, const Value& object, const Value& old) const {
  std::string_view node = c.user.node_name();
  if (node.empty()) return {};
  const Value& named = old.is_null() ? object : old;
  NodeWrite write{node,
                  c.info.group,
                  c.info.resource,
                  c.info.subresource,
                  c.info.namespace_,
                  named.get({"metadata", "name"}).as_string()};
  if (auto denial = apiserver::node_restriction(store_, write, object, old))
    return forbidden(c.group_resource(), write.name, *denial);
  return {};
}

// Nobody grants, by role or by binding, what they do not have themselves.
std::optional<NeededRight> Admission::rbac_escalation(Context& c, const Value& object, const Value& old) const {
  if (c.info.group != "rbac.authorization.k8s.io" || object.is_null() || c.user.in_group("system:masters")) return {};
  auto rules_of = [](const Value& value) {
    std::vector<k8s::rbac::v1::PolicyRule> rules;
    for (const Value& rule : schema::items(value.get({"rules"}))) {
      if (auto parsed = schema::from_value<k8s::rbac::v1::PolicyRule>(rule)) rules.push_back(std::move(*parsed));
    }
    return rules;
  };
  auto unless = [&](const Result<void>& granted, std::string_view verb, std::string_view resource,
                    std::string_view name) -> std::optional<NeededRight> {
    if (granted) return {};
    Attributes a;
    a.verb = verb;
    a.api_group = c.info.group;
    a.api_version = "v1";
    a.resource = resource;
    a.namespace_ = c.info.namespace_;
    a.name = name;
    return NeededRight{granted.error().message().substr(std::string_view("forbidden: ").size()), {a}};
  };
  if (is(c, c.info.group, "clusterroles") || is(c, c.info.group, "roles")) {
    Value sum = object.get({"aggregationRule"});
    bool same_rules = !old.is_null() && old.get({"rules"}).equals(object.get({"rules"}));
    bool same_sum = sum.is_null() || (!old.is_null() && sum.equals(old.get({"aggregationRule"})));
    if (same_rules && same_sum) return {};
    auto rules = rules_of(object);
    if (!same_sum) {
      // What such a role will hold is up to whoever labels roles: only who may do everything may start one.
      k8s::rbac::v1::PolicyRule everything, paths;
      everything.verbs = everything.apiGroups = everything.resources = {"*"};
      paths.verbs = paths.nonResourceURLs = {"*"};
      rules.insert(rules.end(), {everything, paths});
    }
    return unless(authorizer_.may_grant(c.user, c.info.namespace_, rules), "escalate", c.info.resource,
                  object.get({"metadata", "name"}).as_string());
  }
  if (!old.is_null() && old.get({"subjects"}).equals(object.get({"subjects"}))) return {};
  std::string_view kind = object.get({"roleRef", "kind"}).as_string(),
                   role = object.get({"roleRef", "name"}).as_string();
  return unless(
      authorizer_.may_grant(c.user, c.info.namespace_, authorizer_.rules_of_role(kind, role, c.info.namespace_)),
      "bind", kind == "ClusterRole" ? "clusterroles" : "roles", role);
}

}  // namespace redoubt::apiserver
