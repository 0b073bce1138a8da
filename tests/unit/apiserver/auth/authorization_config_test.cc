#include "apiserver/auth/authorization_config.h"

#include <gtest/gtest.h>

using namespace redoubt;
using namespace redoubt::apiserver;

namespace {

std::string file(const std::string& authorizers) {
  return "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n" + authorizers;
}
std::string why(const std::string& authorizers, bool abac = false) {
  auto parsed = parse_authorization_config(file(authorizers), abac);
  return parsed ? std::string("ok") : parsed.error().message();
}
std::string webhook(const std::string& change = "", const std::string& to = "") {
  std::string text =
      "- type: Webhook\n  name: hook\n  webhook:\n    timeout: 3s\n    authorizedTTL: 30s\n    unauthorizedTTL: 10s\n"
      "    subjectAccessReviewVersion: v1\n    failurePolicy: Deny\n"
      "    connectionInfo: {type: KubeConfigFile, kubeConfigFile: /etc/hook}\n";
  if (!change.empty()) text.replace(text.find(change), change.size(), to);
  return text;
}

}  // namespace

TEST(AuthorizationConfiguration, KeepsTheOrderAndEverySetting) {
  auto parsed =
      parse_authorization_config(file(webhook() + "- {type: Node, name: node}\n- {type: RBAC, name: rbac}\n"), false);
  ASSERT_TRUE(parsed) << parsed.error().message();
  ASSERT_EQ(parsed->size(), 3u);
  const WebhookAuthorizerConfig& hook = (*parsed)[0].webhook;
  EXPECT_EQ(hook.kubeconfig, "/etc/hook");
  EXPECT_EQ(hook.version, "v1");
  EXPECT_EQ(hook.timeout, std::chrono::seconds(3));
  EXPECT_EQ(hook.authorized_ttl, std::chrono::seconds(30));
  EXPECT_EQ(hook.unauthorized_ttl, std::chrono::seconds(10));
  EXPECT_TRUE(hook.fail_closed);
  EXPECT_EQ((*parsed)[2].type, AuthorizerConfig::Type::Rbac);
}

TEST(AuthorizationConfiguration, SaysWhatIsWrongWithItsPath) {
  struct Case {
    std::string authorizers, message;
  } cases[] = {
      {" []", "authorizers: Required value"},
      {"- {type: Magic, name: m}", "authorizers[0].type: Unsupported value: \"Magic\""},
      {"- {type: RBAC}", "authorizers[0].name: Required value"},
      {"- {type: RBAC, name: Big}", "must be a lowercase RFC 1123 subdomain"},
      {"- {type: RBAC, name: a}\n- {type: RBAC, name: b}", "authorizers[1].type: Duplicate value"},
      {"- {type: RBAC, name: a}\n- {type: Node, name: a}", "authorizers[1].name: Duplicate value"},
      {"- {type: ABAC, name: a}", "needs --authorization-policy-file"},
      {"- {type: Webhook, name: a}", "authorizers[0].webhook: Required value"},
      {"- {type: RBAC, name: a, webhook: {}}", "may only be specified when type=Webhook"},
      {webhook("timeout: 3s", "timeout: 31s"), "authorizers[0].webhook.timeout: Invalid value: \"31s\""},
      {webhook("timeout: 3s", "timeout: soon"), "authorizers[0].webhook.timeout: a duration is wanted"},
      {webhook("authorizedTTL: 30s\n", "\n"), "authorizers[0].webhook.authorizedTTL: Required value"},
      {webhook("Deny", "Allow"), "authorizers[0].webhook.failurePolicy: Unsupported value"},
      {webhook("Version: v1", "Version: v2"), "subjectAccessReviewVersion: Unsupported value"},
      {webhook("/etc/hook", "etc/hook"), "must be an absolute path"},
      {webhook("timeout: 3s", "timeout: 3s\n    matchConditions: [{expression: 'true'}]"),
       "authorizers[0].webhook.matchConditions: Forbidden: CEL expressions are not supported"},
      {webhook("timeout: 3s", "timeout: 3s\n    retries: 7"), "unknown field \"authorizers[0].webhook.retries\""},
  };
  for (const Case& c : cases) {
    EXPECT_NE(why(c.authorizers).find(c.message), std::string::npos) << c.authorizers << "\n" << why(c.authorizers);
  }
  EXPECT_EQ(why(webhook()), "ok");
  EXPECT_EQ(why("- {type: ABAC, name: a}", true), "ok");
}
