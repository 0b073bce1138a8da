// Role bindings with what their roles allow, questions about strangers, and tokens that never end.
#include <fmt/format.h>

#include <map>

#include "paths/collect.h"
#include "paths/objects.h"
#include "schema/codec.h"

namespace redoubt::paths {

namespace {

constexpr const char* kRbac = "/apis/rbac.authorization.k8s.io/v1/";

struct Role {
  std::vector<Rule> rules;
  bool built_in = false;
};

bool is_built_in(const schema::Value& v) {
  schema::Value labels = v.get({"metadata", "labels"});
  const schema::Value* label = labels.find("kubernetes.io/bootstrapping");
  return label != nullptr;
}

Role read_role(const schema::Value& v) {
  Role out;
  schema::Value rules = v.get({"rules"});
  for (const schema::Value& r : schema::items(rules))
    out.rules.push_back({texts_at(r, {"verbs"}), texts_at(r, {"apiGroups"}), texts_at(r, {"resources"}),
                         texts_at(r, {"resourceNames"}), texts_at(r, {"nonResourceURLs"})});
  out.built_in = is_built_in(v);
  return out;
}

Grant read_binding(const schema::Value& v, const std::map<std::string, Role>& roles) {
  Grant out;
  out.ns = text_at(v, {"metadata", "namespace"});
  out.binding = (out.ns.empty() ? "ClusterRoleBinding/" : "RoleBinding/") + object_name(v);
  out.role = text_at(v, {"roleRef", "name"});
  schema::Value subjects = v.get({"subjects"});
  for (const schema::Value& s : schema::items(subjects))
    out.subjects.push_back({text_at(s, {"kind"}), text_at(s, {"namespace"}), text_at(s, {"name"})});
  bool cluster_role = text_at(v, {"roleRef", "kind"}) == "ClusterRole";
  auto role = roles.find(cluster_role ? out.role : out.ns + "/" + out.role);
  if (role != roles.end()) out.rules = role->second.rules;
  out.built_in = is_built_in(v) && role != roles.end() && role->second.built_in;
  return out;
}

Task<Result<std::vector<Grant>>> read_grants(client::Client& api) {
  std::map<std::string, Role> roles;
  std::vector<Grant> grants;
  auto add_role = [&](const schema::Value& v) { roles[object_name(v)] = read_role(v); };
  auto add_binding = [&](const schema::Value& v) { grants.push_back(read_binding(v, roles)); };
  for (const char* kind : {"clusterroles", "roles"})
    RD_CO_TRYV(co_await for_each_object(api, std::string(kRbac) + kind, "", false, add_role));
  for (const char* kind : {"clusterrolebindings", "rolebindings"})
    RD_CO_TRYV(co_await for_each_object(api, std::string(kRbac) + kind, "", false, add_binding));
  co_return grants;
}

struct Question {
  const char* user;
  const char* group;  // besides system:authenticated
};
// A user who exists nowhere, nobody, a node that owns nothing, and two components: none may list Secrets.
constexpr Question kQuestions[] = {{"redoubt:paths:nobody", ""},
                                   {"system:anonymous", "system:unauthenticated"},
                                   {"system:node:redoubt-paths-nobody", "system:nodes"},
                                   {"system:kube-scheduler", ""},
                                   {"system:kube-proxy", ""}};

Task<Result<Review>> may_list_secrets(client::Client& api, Question q) {
  std::string groups = std::string_view(q.group) == "system:unauthenticated" ? "" : "\"system:authenticated\"";
  if (*q.group != '\0') groups += fmt::format("{}\"{}\"", groups.empty() ? "" : ",", q.group);
  std::string body = fmt::format(
      R"({{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","spec":{{"user":"{}","groups":[{}],)"
      R"("resourceAttributes":{{"verb":"list","version":"v1","resource":"secrets"}}}}}})",
      q.user, groups);
  RD_CO_TRY(auto answer,
            co_await api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", std::move(body)));
  schema::Arena arena;
  RD_CO_TRY(schema::Value v, schema::parse_json(answer.body, arena));
  co_return Review{q.user, "list secrets", v.get({"status", "allowed"}).as_bool()};
}

}  // namespace

Task<void> collect_rights(client::Client& api, Facts& f) {
  auto grants = co_await read_grants(api);
  if (grants)
    f.grants = std::move(*grants);
  else
    f.grants_error = grants.error().message();

  for (const Question& q : kQuestions) {
    auto review = co_await may_list_secrets(api, q);
    if (!review) continue;
    f.reviews_seen = true;
    f.reviews.push_back(std::move(*review));
  }

  std::vector<std::string> tokens;
  auto listed =
      co_await for_each_object(api, "/api/v1/secrets", "fieldSelector=type%3Dkubernetes.io%2Fservice-account-token",
                               true, [&](const schema::Value& v) {
                                 schema::Value notes = v.get({"metadata", "annotations"});
                                 const schema::Value* account = notes.find("kubernetes.io/service-account.name");
                                 tokens.push_back(fmt::format("{} (ServiceAccount {})", object_name(v),
                                                              account ? account->as_string() : "unknown"));
                               });
  if (listed)
    f.legacy_tokens = std::move(tokens);
  else
    f.legacy_tokens_error = listed.error().message();
}

Task<void> collect_registrations(client::Client& api, Facts& f) {
  std::vector<Registration> all;
  auto client_config = [&](std::string name, const schema::Value& v) {
    Registration r{std::move(name), text_at(v, {"url"}), "", !text_at(v, {"caBundle"}).empty(), false};
    if (v.get({"service"}).is_object())
      r.service = text_at(v, {"service", "namespace"}) + "/" + text_at(v, {"service", "name"});
    all.push_back(std::move(r));
  };
  auto read = [&]() -> Task<Result<void>> {
    for (const char* kind : {"validatingwebhookconfigurations", "mutatingwebhookconfigurations"}) {
      auto seen = co_await for_each_object(
          api, fmt::format("/apis/admissionregistration.k8s.io/v1/{}", kind), "", false, [&](const schema::Value& v) {
            schema::Value hooks = v.get({"webhooks"});
            for (const schema::Value& h : schema::items(hooks))
              client_config(fmt::format("webhook {} of {}", text_at(h, {"name"}), object_name(v)),
                            h.get({"clientConfig"}));
          });
      if (!seen && !seen.error().is("NotFound")) co_return Error(seen.error());
    }
    auto services = co_await for_each_object(
        api, "/apis/apiregistration.k8s.io/v1/apiservices", "", false, [&](const schema::Value& v) {
          if (!v.get({"spec", "service"}).is_object()) return;
          all.push_back({"APIService " + object_name(v), "",
                         text_at(v, {"spec", "service", "namespace"}) + "/" + text_at(v, {"spec", "service", "name"}),
                         !text_at(v, {"spec", "caBundle"}).empty(),
                         v.get({"spec", "insecureSkipTLSVerify"}).as_bool()});
        });
    if (!services && !services.error().is("NotFound")) co_return Error(services.error());
    auto definitions = co_await for_each_object(
        api, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "", false, [&](const schema::Value& v) {
          if (text_at(v, {"spec", "conversion", "strategy"}) == "Webhook")
            client_config("conversion of " + object_name(v), v.get({"spec", "conversion", "webhook", "clientConfig"}));
        });
    if (!definitions && !definitions.error().is("NotFound")) co_return Error(definitions.error());
    co_return Result<void>{};
  };
  auto done = co_await read();
  if (done)
    f.registrations = std::move(all);
  else
    f.registrations_error = done.error().message();
}

}  // namespace redoubt::paths
