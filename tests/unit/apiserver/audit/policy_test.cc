#include "apiserver/audit/policy.h"

#include <gtest/gtest.h>

using namespace redoubt::apiserver;
using namespace redoubt::apiserver::audit;

namespace {

constexpr std::string_view kHead = "apiVersion: audit.k8s.io/v1\nkind: Policy\n";

Policy policy_of(std::string rules) {
  auto parsed = parse_policy(std::string(kHead) + rules);
  EXPECT_TRUE(parsed) << parsed.error().message();
  return parsed ? std::move(*parsed) : Policy{};
}

UserInfo user_of(std::string name, std::vector<std::string> groups = {}) {
  UserInfo user;
  user.name = std::move(name);
  user.groups = std::move(groups);
  return user;
}

Subject pods(const UserInfo* user, std::string_view verb = "get", std::string_view subresource = {}) {
  return {user, verb, true, "", "pods", subresource, "default", "web-1", {}};
}

Subject path(const UserInfo* user, std::string_view p) {
  return {user, "get", false, {}, {}, {}, {}, {}, p};
}

}  // namespace

TEST(AuditPolicy, TheFirstRuleThatMatchesDecides) {
  Policy policy = policy_of(R"(
rules:
- level: None
  users: ["quiet"]
- level: RequestResponse
  userGroups: ["loud"]
  omitStages: [RequestReceived]
- level: Metadata
)");
  UserInfo quiet = user_of("quiet", {"loud"}), loud = user_of("x", {"loud"}), other = user_of("y");
  EXPECT_EQ(evaluate(policy, pods(&quiet)).level, Level::None);
  EXPECT_EQ(evaluate(policy, pods(&loud)).level, Level::RequestResponse);
  EXPECT_TRUE(evaluate(policy, pods(&loud)).omit_stages.has(Stage::RequestReceived));
  EXPECT_EQ(evaluate(policy, pods(&other)).level, Level::Metadata);
  EXPECT_EQ(evaluate(policy, pods(nullptr)).level, Level::Metadata) << "nobody matches no rule about users";
}

TEST(AuditPolicy, NothingIsRecordedWhereNoRuleMatches) {
  UserInfo user = user_of("x");
  EXPECT_EQ(evaluate(policy_of("rules: [{level: Metadata, verbs: [delete]}]"), pods(&user)).level, Level::None);
}

TEST(AuditPolicy, ResourcesMatchAsUpstreamReadsThem) {
  struct Case {
    std::string entry;
    std::string_view subresource;
    bool matches;
  };
  const Case cases[] = {{"pods", "", true},        {"pods", "log", false},  {"pods/log", "log", true},
                        {"pods/log", "", false},   {"pods/*", "log", true}, {"pods/*", "", true},
                        {"*", "", true},           {"*", "log", true},      {"*/log", "log", true},
                        {"*/scale", "log", false}, {"services", "", false}};
  UserInfo user = user_of("x");
  for (const Case& c : cases) {
    Policy policy = policy_of("rules: [{level: Metadata, resources: [{group: '', resources: ['" + c.entry + "']}]}]");
    EXPECT_EQ(evaluate(policy, pods(&user, "get", c.subresource)).level == Level::Metadata, c.matches)
        << c.entry << " and pods/" << c.subresource;
  }
}

TEST(AuditPolicy, NamesNamespacesGroupsAndPathsNarrowARule) {
  UserInfo user = user_of("x");
  auto level = [&](const std::string& rule, const Subject& s) {
    return evaluate(policy_of("rules: [" + rule + "]"), s).level;
  };
  EXPECT_EQ(level("{level: Metadata, resources: [{resources: [pods], resourceNames: [web-1]}]}", pods(&user)),
            Level::Metadata);
  EXPECT_EQ(level("{level: Metadata, resources: [{resources: [pods], resourceNames: [web-2]}]}", pods(&user)),
            Level::None);
  EXPECT_EQ(level("{level: Metadata, resources: [{group: apps}]}", pods(&user)), Level::None);
  EXPECT_EQ(level("{level: Metadata, resources: [{group: ''}]}", pods(&user)), Level::Metadata);
  EXPECT_EQ(level("{level: Metadata, namespaces: [default]}", pods(&user)), Level::Metadata);
  EXPECT_EQ(level("{level: Metadata, namespaces: ['']}", pods(&user)), Level::None);
  EXPECT_EQ(level("{level: Metadata, namespaces: ['']}", path(&user, "/livez")), Level::None);
  EXPECT_EQ(level("{level: Metadata, nonResourceURLs: ['/healthz*']}", path(&user, "/healthz/etcd")), Level::Metadata);
  EXPECT_EQ(level("{level: Metadata, nonResourceURLs: ['/healthz']}", path(&user, "/healthz/etcd")), Level::None);
  EXPECT_EQ(level("{level: Metadata, nonResourceURLs: ['*']}", path(&user, "/anything")), Level::Metadata);
  EXPECT_EQ(level("{level: Metadata, nonResourceURLs: ['*']}", pods(&user)), Level::None);
}

TEST(AuditPolicy, OmitsOfThePolicyAndOfTheRuleAddUp) {
  Policy policy = policy_of(
      "omitStages: [RequestReceived]\nomitManagedFields: true\nrules:\n- {level: Request, omitStages: "
      "[ResponseStarted]}");
  UserInfo user = user_of("x");
  Verdict verdict = evaluate(policy, pods(&user));
  EXPECT_TRUE(verdict.omit_stages.has(Stage::RequestReceived));
  EXPECT_TRUE(verdict.omit_stages.has(Stage::ResponseStarted));
  EXPECT_FALSE(verdict.omit_stages.has(Stage::ResponseComplete));
  EXPECT_TRUE(verdict.omit_managed_fields);
  EXPECT_FALSE(
      evaluate(policy_of("omitManagedFields: true\nrules: [{level: Request, omitManagedFields: false}]"), pods(&user))
          .omit_managed_fields);
}

TEST(AuditPolicy, BodiesOfSecretsNeedARuleThatNamesThem) {
  UserInfo user = user_of("x");
  Subject secret{&user, "get", true, "", "secrets", "", "default", "s", {}};
  Subject token{&user, "create", true, "", "serviceaccounts", "token", "default", "sa", {}};
  Subject review{&user, "create", true, "authentication.k8s.io", "tokenreviews", "", "", "", {}};
  Policy all = policy_of("rules: [{level: RequestResponse}]");
  Policy wild = policy_of("rules: [{level: Request, resources: [{group: '', resources: ['*']}]}]");
  Policy named = policy_of("rules: [{level: Request, resources: [{group: '', resources: [secrets]}]}]");
  EXPECT_TRUE(evaluate(all, secret).bodies_withheld);
  EXPECT_TRUE(evaluate(all, token).bodies_withheld);
  EXPECT_TRUE(evaluate(all, review).bodies_withheld);
  EXPECT_TRUE(evaluate(wild, secret).bodies_withheld);
  EXPECT_FALSE(evaluate(named, secret).bodies_withheld);
  EXPECT_FALSE(evaluate(all, pods(&user)).bodies_withheld);
}

TEST(AuditPolicy, AWrongFileIsRefusedWithTheFieldNamed) {
  struct Case {
    std::string text, complaint;
  };
  const Case cases[] = {
      {"apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules: [{level: None}]", "unknown group version"},
      {std::string(kHead), "0 rules"},
      {std::string(kHead) + "rules: [{}]", "rules[0].level: Required value"},
      {std::string(kHead) + "rules: [{level: All}]", "rules[0].level: Unsupported value: \"All\""},
      {std::string(kHead) + "rules: [{level: None, resource: []}]", "unknown field \"rules[0].resource\""},
      {std::string(kHead) + "omitStages: [Done]\nrules: [{level: None}]", "omitStages[0]: Invalid value: \"Done\""},
      {std::string(kHead) + "rules: [{level: None, nonResourceURLs: [healthz]}]", "must begin with a '/'"},
      {std::string(kHead) + "rules: [{level: None, nonResourceURLs: ['/a*/b']}]", "must be the final character"},
      {std::string(kHead) + "rules: [{level: None, nonResourceURLs: ['/a'], namespaces: [x]}]", "cannot apply to both"},
      {std::string(kHead) + "rules: [{level: None, resources: [{group: apps/v1}]}]", "rules[0].resources[0].group"},
      {std::string(kHead) + "rules: [{level: None, resources: [{resourceNames: [x]}]}]",
       "requires at least one resource"},
      {std::string(kHead) + "rules: [{level: None, users: x}]", "rules[0].users: must be a list"},
      {"- a", "no object"},
      {": :", ""},
  };
  for (const Case& c : cases) {
    auto parsed = parse_policy(c.text);
    ASSERT_FALSE(parsed) << c.text;
    EXPECT_NE(parsed.error().message().find(c.complaint), std::string::npos) << parsed.error().message();
  }
}

TEST(AuditPolicy, TheDefaultRecordsWritesAndReadsOfSecretsButNoNoise) {
  const Policy& policy = default_policy();
  UserInfo person = user_of("ann", {"system:authenticated"}), node = user_of("system:node:n1", {"system:nodes"}),
           nobody = user_of("system:anonymous", {"system:unauthenticated"});
  auto level = [&](const UserInfo* user, std::string_view verb, std::string_view group, std::string_view resource,
                   std::string_view sub = {}) {
    return evaluate(policy, {user, verb, true, group, resource, sub, "default", "x", {}}).level;
  };
  EXPECT_EQ(level(&person, "create", "apps", "deployments"), Level::Metadata);
  EXPECT_EQ(level(&person, "delete", "", "pods"), Level::Metadata);
  EXPECT_EQ(level(&person, "get", "", "secrets"), Level::Metadata);
  EXPECT_EQ(level(&person, "watch", "", "secrets"), Level::Metadata);
  EXPECT_EQ(level(&person, "create", "", "pods", "exec"), Level::Metadata);
  EXPECT_EQ(level(&person, "get", "", "nodes", "proxy"), Level::Metadata);
  EXPECT_EQ(level(&node, "create", "", "serviceaccounts", "token"), Level::Metadata);
  EXPECT_EQ(level(&nobody, "get", "", "configmaps"), Level::Metadata);
  EXPECT_EQ(level(&person, "get", "", "configmaps"), Level::None);
  EXPECT_EQ(level(&person, "watch", "", "pods"), Level::None);
  EXPECT_EQ(level(&node, "update", "coordination.k8s.io", "leases"), Level::None);
  EXPECT_EQ(level(&node, "patch", "", "nodes", "status"), Level::None);
  EXPECT_EQ(level(&person, "create", "authorization.k8s.io", "selfsubjectaccessreviews"), Level::None);
  EXPECT_EQ(evaluate(policy, path(&person, "/readyz")).level, Level::None);
}

TEST(AuditPolicy, TheDefaultRecordsEveryRefusalAndAPolicyOfOnesOwnOnlyWhatItSays) {
  UserInfo node = user_of("system:node:n1", {"system:nodes"});
  Subject lease{&node, "update", true, "coordination.k8s.io", "leases", {}, "kube-node-lease", "n2", {}};
  EXPECT_TRUE(evaluate(default_policy(), pods(&node)).when_refused);  // no rule matches
  EXPECT_TRUE(evaluate(default_policy(), lease).when_refused);        // a rule says None
  EXPECT_FALSE(evaluate(policy_of("rules: [{level: None, verbs: [get]}]\n"), pods(&node)).when_refused);
  EXPECT_FALSE(evaluate(policy_of("rules: [{level: None, verbs: [put]}]\n"), pods(&node)).when_refused);
}
