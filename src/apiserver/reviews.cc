#include "apiserver/reviews.h"

#include "apiserver/selectors.h"
#include "schema/k8s/authentication_v1.h"
#include "schema/k8s/authorization_v1.h"
#include "schema/typed.h"

namespace redoubt::apiserver {

namespace {

constexpr int64_t kMinTokenSeconds = 600, kMaxTokenSeconds = int64_t{1} << 32;

std::string str(const Value& v, std::initializer_list<std::string_view> path) {
  return std::string(v.get(path).as_string());
}

Value string_value(Arena& arena, std::string_view text) {
  return Value::string(arena.copy(text));
}

Value list_of(Arena& arena, const std::vector<std::string>& texts) {
  Value out = Value::array(arena);
  for (const std::string& text : texts) out.push_back(arena, string_value(arena, text));
  return out;
}

Value user_value(Arena& arena, const UserInfo& user) {
  Value out = Value::object(arena);
  out.set(arena, "username", string_value(arena, user.name));
  if (!user.uid.empty()) out.set(arena, "uid", string_value(arena, user.uid));
  if (!user.groups.empty()) out.set(arena, "groups", list_of(arena, user.groups));
  if (!user.extra.empty()) {
    Value extra = Value::object(arena);
    for (const auto& [key, values] : user.extra) extra.set(arena, key, list_of(arena, values));
    out.set(arena, "extra", extra);
  }
  return out;
}

std::vector<std::string> strings(const Value& list) {
  std::vector<std::string> out;
  for (const Value& item : schema::items(list)) out.emplace_back(item.as_string());
  return out;
}

// The requirements of a review's selector: given as text, or one by one. Problems go to `causes`.
std::vector<SelectorRequirement> read_selector(const Value& attributes, const char* name, Causes& causes) {
  Value selector = attributes.get({name});
  if (!selector.is_object()) return {};
  std::string path = fmt::format("spec.resourceAttributes.{}", name), raw = str(selector, {"rawSelector"});
  Value requirements = selector.get({"requirements"});
  if (!raw.empty() && !requirements.empty())
    invalid_value(causes, path + ".rawSelector", raw, "may not specified at the same time as requirements");
  if (raw.empty() && requirements.empty())
    required(causes, path + ".requirements",
             fmt::format("when {} is specified, requirements or rawSelector is required", path));
  std::vector<SelectorRequirement> out;
  if (!raw.empty()) {
    // What does not parse narrows nothing: the question is then about everything.
    if (std::string_view(name) == "fieldSelector") {
      if (auto parsed = FieldSelector::parse(raw)) out = parsed->requirements();
    } else if (auto parsed = LabelSelector::parse(raw)) {
      out = parsed->requirements();
    }
    return out;
  }
  size_t i = 0;
  for (const Value& term : schema::items(requirements)) {
    std::string at = fmt::format("{}.requirements[{}]", path, i++);
    SelectorRequirement r{str(term, {"key"}), str(term, {"operator"}), strings(term.get({"values"}))};
    if (r.key.empty()) required(causes, at + ".key", "must be specified");
    bool valued = r.op == "In" || r.op == "NotIn", bare = r.op == "Exists" || r.op == "DoesNotExist";
    if (valued && r.values.empty())
      required(causes, at + ".values", "must be specified when `operator` is 'In' or 'NotIn'");
    if (bare && !r.values.empty())
      causes.push_back({"FieldValueForbidden",
                        "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                        at + ".values"});
    // An operator of a newer version: not understood, so not counted.
    if (valued || bare) out.push_back(std::move(r));
  }
  return out;
}

// What a review asks about. Problems go to `causes`, as upstream's validation words them.
Attributes read_attributes(const Value& spec, Causes& causes) {
  Attributes a;
  Value path = spec.get({"nonResourceAttributes"}), r = spec.get({"resourceAttributes"});
  if (path.is_object() && r.is_object())
    invalid_value(causes, "spec.nonResourceAttributes", "",
                  "cannot be specified in combination with resourceAttributes");
  if (!path.is_object() && !r.is_object())
    invalid_value(causes, "spec.resourceAttributes", "",
                  "exactly one of nonResourceAttributes or resourceAttributes must be specified");
  if (!r.is_object()) {
    a.resource_request = false;
    a.path = str(path, {"path"});
    a.verb = str(path, {"verb"});
    return a;
  }
  a.namespace_ = str(r, {"namespace"});
  a.verb = str(r, {"verb"});
  a.api_group = str(r, {"group"});
  a.api_version = str(r, {"version"});
  if (a.api_version.empty()) a.api_version = "*";
  a.resource = str(r, {"resource"});
  a.subresource = str(r, {"subresource"});
  a.name = str(r, {"name"});
  a.field_requirements = read_selector(r, "fieldSelector", causes);
  a.label_requirements = read_selector(r, "labelSelector", causes);
  for (const SelectorRequirement& term : a.field_requirements) {
    if (term.op == "In" && term.values.size() == 1) a.field_equals.emplace_back(term.key, term.values.front());
  }
  return a;
}

}  // namespace

Task<Result<void>> Reviews::access(Context& c, Value& review, bool self) {
  Value spec = review.get({"spec"});
  UserInfo user = c.user;
  Causes causes;
  if (!self) {
    user = UserInfo{str(spec, {"user"}), str(spec, {"uid"}), strings(spec.get({"groups"})), {}};
    for (const schema::Member& extra : schema::members(spec.get({"extra"})))
      user.extra[std::string(extra.key)] = strings(extra.value);
    if (user.name.empty() && user.groups.empty())
      invalid_value(causes, "spec.user", "", "at least one of user or group must be specified");
  }
  Attributes a = read_attributes(spec, causes);
  if (!causes.empty()) co_return invalid(c.resource->group, c.resource->kind, "", std::move(causes));
  auto answer = authorizer_.authorize(user, a);
  Decision decision = answer.is_here() ? std::move(answer.value()) : co_await answer.task();
  Value status = Value::object(c.arena);
  status.set(c.arena, "allowed", Value::boolean(decision.allowed));
  if (decision.denied) status.set(c.arena, "denied", Value::boolean(true));
  if (!decision.reason.empty()) status.set(c.arena, "reason", string_value(c.arena, decision.reason));
  if (!decision.error.empty()) status.set(c.arena, "evaluationError", string_value(c.arena, decision.error));
  review.set(c.arena, "status", status);
  co_return Result<void>{};
}

void Reviews::rules(Context& c, Value& review) {
  Value resource_rules = Value::array(c.arena), path_rules = Value::array(c.arena);
  auto all = authorizer_.all_rules_for(c.user, str(review, {"spec", "namespace"}));
  for (const auto& rule : all.rules) {
    Value out = Value::object(c.arena);
    out.set(c.arena, "verbs", list_of(c.arena, rule.verbs));
    if (!rule.nonResourceURLs.empty()) {
      out.set(c.arena, "nonResourceURLs", list_of(c.arena, rule.nonResourceURLs));
      path_rules.push_back(c.arena, out);
      continue;
    }
    out.set(c.arena, "apiGroups", list_of(c.arena, rule.apiGroups));
    out.set(c.arena, "resources", list_of(c.arena, rule.resources));
    if (!rule.resourceNames.empty()) out.set(c.arena, "resourceNames", list_of(c.arena, rule.resourceNames));
    resource_rules.push_back(c.arena, out);
  }
  Value status = Value::object(c.arena);
  status.set(c.arena, "resourceRules", resource_rules);
  status.set(c.arena, "nonResourceRules", path_rules);
  status.set(c.arena, "incomplete", Value::boolean(all.incomplete));
  if (!all.error.empty()) status.set(c.arena, "evaluationError", string_value(c.arena, all.error));
  review.set(c.arena, "status", status);
}

Task<Result<void>> Reviews::token_review(Context& c, Value& review) {
  std::string token = str(review, {"spec", "token"});
  if (token.empty()) co_return bad_request("token is required for TokenReview in authentication");
  Value status = Value::object(c.arena);
  auto answer = authenticator_.authenticate_token(std::move(token), strings(review.get({"spec", "audiences"})));
  auto who = answer.is_here() ? std::move(answer.value()) : co_await answer.task();
  if (who) {
    status.set(c.arena, "authenticated", Value::boolean(true));
    status.set(c.arena, "user", user_value(c.arena, who->user));
    status.set(c.arena, "audiences", list_of(c.arena, who->audiences));
  } else {
    status.set(c.arena, "user", Value::object(c.arena));
    status.set(c.arena, "error", string_value(c.arena, who.error().message()));
  }
  review.set(c.arena, "status", status);
  co_return Result<void>{};
}

Task<void> Reviews::create(Context& c) {
  auto body = co_await rest_.read_object(c, *c.resource->type, c.resource->api_version(), c.resource->kind);
  if (!body) co_return co_await send_status(c, body.error());
  Value review = *body;
  if (auto ok = co_await rest_.admit_part(c, "CREATE", {}, review); !ok) co_return co_await send_status(c, ok.error());
  review.object_at(c.arena, "metadata").set(c.arena, "creationTimestamp", Value::null());
  std::string_view kind = c.resource->kind;
  Result<void> done;
  if (kind == "SelfSubjectAccessReview" || kind == "SubjectAccessReview" || kind == "LocalSubjectAccessReview") {
    Value spec = review.get({"spec"});
    if (kind == "LocalSubjectAccessReview" &&
        (spec.has("nonResourceAttributes") || str(spec, {"resourceAttributes", "namespace"}) != c.info.namespace_)) {
      done = bad_request(
          fmt::format("spec.resourceAttributes.namespace must match metadata.namespace: {}", c.info.namespace_));
    } else {
      done = co_await access(c, review, kind == "SelfSubjectAccessReview");
    }
  } else if (kind == "SelfSubjectRulesReview") {
    if (str(review, {"spec", "namespace"}).empty()) {
      done = bad_request("no namespace on request");
    } else {
      rules(c, review);
    }
  } else if (kind == "TokenReview") {
    done = co_await token_review(c, review);
  } else {
    Value status = Value::object(c.arena);
    status.set(c.arena, "userInfo", user_value(c.arena, c.user));
    review.set(c.arena, "status", status);
  }
  if (!done) co_return co_await send_status(c, done.error());
  auto encoded = encode_value(c, review, c.resource->type);
  if (!encoded) co_return co_await send_status(c, encoded.error());
  co_await send_encoded(c, 201, std::move(*encoded));
}

Task<void> Reviews::token(Context& c) {
  const schema::Type* type = schema::find_type("io.k8s.api.authentication.v1.TokenRequest");
  auto body = co_await rest_.read_object(c, *type, "authentication.k8s.io/v1", "TokenRequest");
  if (!body) co_return co_await send_status(c, body.error());
  auto account = rest_.store()
                     .snapshot("serviceaccounts")
                     ->find(fmt::format("/registry/serviceaccounts/{}/{}", c.info.namespace_, c.info.name));
  if (!account) co_return co_await send_status(c, not_found(c.group_resource(), c.info.name).error());
  Value request = *body;
  if (auto ok = co_await rest_.admit_part(c, "CREATE", {}, request); !ok) co_return co_await send_status(c, ok.error());
  TokenRequestSpec spec;
  spec.namespace_ = c.info.namespace_;
  spec.service_account = c.info.name;
  spec.service_account_uid = account->uid;
  spec.audiences = strings(request.get({"spec", "audiences"}));
  spec.expiration_seconds = request.get({"spec", "expirationSeconds"}).as_int(3600);
  Causes causes;
  if (spec.expiration_seconds < kMinTokenSeconds)
    invalid_value(causes, "spec.expirationSeconds", std::to_string(spec.expiration_seconds),
                  "may not specify a duration less than 10 minutes");
  if (spec.expiration_seconds > kMaxTokenSeconds)
    invalid_value(causes, "spec.expirationSeconds", std::to_string(spec.expiration_seconds),
                  "may not specify a duration larger than 2^32 seconds");
  if (!causes.empty())
    co_return co_await send_status(c, invalid("authentication.k8s.io", "TokenRequest", "", std::move(causes)).error());
  if (Value bound = request.get({"spec", "boundObjectRef"}); bound.is_object()) {
    std::string kind = str(bound, {"kind"}), name = str(bound, {"name"}), uid = str(bound, {"uid"});
    std::string resource = kind == "Pod" ? "pods" : kind == "Secret" ? "secrets" : kind == "Node" ? "minions" : "";
    if (resource.empty())
      co_return co_await send_status(
          c, bad_request(
                 fmt::format(
                     "cannot bind token for serviceaccount \"{}\" to {}: only Pod, Secret and Node can be bound to",
                     c.info.name, kind))
                 .error());
    std::string key = kind == "Node" ? "/registry/minions/" + name
                                     : fmt::format("/registry/{}/{}/{}", resource, c.info.namespace_, name);
    auto object = rest_.store().snapshot(resource)->find(key);
    GroupResource shown{"", kind == "Node" ? "nodes" : resource};
    if (!object) co_return co_await send_status(c, not_found(shown, name).error());
    if (!uid.empty() && uid != object->uid) {
      co_return co_await send_status(
          c, conflict(shown, name,
                      fmt::format("the UID in the bound object reference ({}) does not match the UID in record. The "
                                  "object might have been deleted and then recreated",
                                  uid))
                 .error());
    }
    if (kind == "Pod") {
      auto pod = schema::parse_json(c.arena.copy(object->json.view()), c.arena);
      if (pod->get({"spec", "serviceAccountName"}).as_string() != c.info.name) {
        co_return co_await send_status(
            c, bad_request(
                   fmt::format(
                       "cannot bind token for serviceaccount \"{}\" to pod running with different serviceaccount name.",
                       c.info.name))
                   .error());
      }
      spec.node_name = str(*pod, {"spec", "nodeName"});
      auto node = spec.node_name.empty()
                      ? nullptr
                      : rest_.store().snapshot("minions")->find("/registry/minions/" + spec.node_name);
      if (node) {
        spec.node_uid = node->uid;
      } else {
        spec.node_name.clear();
      }
    }
    // A node may ask for tokens of pods that run on it, and of nothing else.
    if (std::string_view node = c.user.node_name(); !node.empty() && (kind != "Pod" || spec.node_name != node)) {
      co_return co_await send_status(
          c, forbidden(c.group_resource(), c.info.name,
                       fmt::format("node requested token not bound to a pod on node \"{}\"", node))
                 .error());
    }
    spec.bound_kind = kind;
    spec.bound_name = name;
    spec.bound_uid = object->uid;
  } else if (!c.user.node_name().empty()) {
    co_return co_await send_status(
        c, forbidden(c.group_resource(), c.info.name, "node requested token not bound to a pod").error());
  }
  if (auto most = authenticator_.service_accounts().options().max_expiration.count();
      most > 0 && spec.expiration_seconds > most) {
    c.warnings.push_back(
        fmt::format("requested expiration of {} seconds shortened to {} seconds", spec.expiration_seconds, most));
    spec.expiration_seconds = most;
  }
  auto issued = authenticator_.service_accounts().issue(spec);
  if (!issued) co_return co_await send_status(c, issued.error());
  auto& [token, expires] = *issued;
  Value status = Value::object(c.arena);
  status.set(c.arena, "token", string_value(c.arena, token));
  status.set(c.arena, "expirationTimestamp", string_value(c.arena, format_rfc3339(expires)));
  request.set(c.arena, "status", status);
  Value& metadata = request.object_at(c.arena, "metadata");
  metadata.set(c.arena, "name", string_value(c.arena, c.info.name));
  metadata.set(c.arena, "namespace", string_value(c.arena, c.info.namespace_));
  request.object_at(c.arena, "spec")
      .set(c.arena, "audiences",
           list_of(c.arena, spec.audiences.empty() ? authenticator_.options().api_audiences : spec.audiences));
  request.object_at(c.arena, "spec").set(c.arena, "expirationSeconds", Value::integer(spec.expiration_seconds));
  auto encoded = encode_value(c, request, type);
  if (!encoded) co_return co_await send_status(c, encoded.error());
  co_await send_encoded(c, 201, std::move(*encoded));
}

}  // namespace redoubt::apiserver
