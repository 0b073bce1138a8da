#include "apiserver/auth/authentication_config.h"

#include <gtest/gtest.h>

using namespace redoubt;
using namespace redoubt::apiserver;

namespace {

constexpr const char* kHead = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n";

std::string why(const std::string& body, const char* head = kHead) {
  auto parsed = parse_authentication_config(head + body, {"https://own"});
  return parsed ? std::string("ok") : parsed.error().message();
}

// One issuer, with something more of it.
std::string issuer(const std::string& more_of_issuer = "", const std::string& more = "",
                   const std::string& url = "https://issuer.example.com") {
  return "jwt:\n- issuer:\n    url: " + url + "\n    audiences: [a]\n" + more_of_issuer +
         "  claimMappings:\n    username: {claim: sub, prefix: ''}\n" + more;
}

}  // namespace

TEST(AuthenticationConfiguration, ReadsEverythingItKnows) {
  auto parsed = parse_authentication_config(std::string(kHead) +
                                                "jwt:\n"
                                                "- issuer:\n"
                                                "    url: https://issuer.example.com/realm\n"
                                                "    discoveryURL: https://inside.example.com/discovery\n"
                                                "    audiences: [a, b]\n"
                                                "    audienceMatchPolicy: MatchAny\n"
                                                "    egressSelectorType: cluster\n"
                                                "  claimValidationRules:\n"
                                                "  - claim: hd\n"
                                                "    requiredValue: example.com\n"
                                                "  claimMappings:\n"
                                                "    username: {claim: email, prefix: 'oidc:'}\n"
                                                "    groups: {claim: roles, prefix: ''}\n"
                                                "    uid: {claim: oid}\n"
                                                "anonymous:\n"
                                                "  enabled: true\n"
                                                "  conditions: [{path: /livez}]\n",
                                            {"https://own"});
  ASSERT_TRUE(parsed) << parsed.error().message();
  ASSERT_EQ(parsed->jwt.size(), 1u);
  const JwtIssuer& jwt = parsed->jwt[0];
  EXPECT_EQ(jwt.url, "https://issuer.example.com/realm");
  EXPECT_EQ(jwt.discovery_url, "https://inside.example.com/discovery");
  EXPECT_EQ(jwt.audiences, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(jwt.egress_cluster);
  EXPECT_EQ(jwt.username_claim + jwt.username_prefix, "emailoidc:");
  EXPECT_EQ(jwt.groups_claim, "roles");
  EXPECT_EQ(jwt.uid_claim, "oid");
  ASSERT_EQ(jwt.required_claims.size(), 1u);
  EXPECT_EQ(jwt.required_claims[0].value, "example.com");
  ASSERT_TRUE(parsed->anonymous);
  EXPECT_EQ(parsed->anonymous->paths, std::vector<std::string>{"/livez"});
  EXPECT_FALSE(parsed->anonymous->every_path);
}

TEST(AuthenticationConfiguration, SaysWhatIsWrongWithItsPath) {
  struct Case {
    std::string body, message;
  } cases[] = {
      {issuer(), "ok"},
      {"jwt: [{}]", "jwt[0].issuer.url: Required value"},
      {issuer("", "", "http://issuer"),
       "jwt[0].issuer.url: Invalid value: \"http://issuer\": URL scheme must be https"},
      {issuer("", "", "https://u@issuer"), "URL must not contain a username or password"},
      {issuer("", "", "https://issuer?q"), "URL must not contain a query"},
      {issuer("", "", "https://own"), "jwt[0].issuer.url: Invalid value: \"https://own\""},
      {issuer() + issuer().substr(5), "jwt[1].issuer.url: Duplicate value"},
      {issuer("    discoveryURL: https://issuer.example.com/\n"), "discoveryURL must be different from URL"},
      {issuer("    certificateAuthority: nothing\n"), "jwt[0].issuer.certificateAuthority: Invalid value"},
      {issuer("    audienceMatchPolicy: All\n"), "audienceMatchPolicy must be empty or MatchAny"},
      {issuer("    egressSelectorType: etcd\n"), "egress selector must be either controlplane or cluster"},
      {issuer("    colour: blue\n"), "unknown field \"jwt[0].issuer.colour\""},
      {issuer("", "    groups: {claim: g}\n"), "jwt[0].claimMappings.groups.prefix: Required value"},
      {"jwt:\n- issuer: {url: 'https://i', audiences: []}\n  claimMappings: {username: {claim: c, prefix: ''}}",
       "jwt[0].issuer.audiences: Required value"},
      {"jwt:\n- issuer: {url: 'https://i', audiences: [a, b]}\n  claimMappings: {username: {claim: c, prefix: ''}}",
       "audienceMatchPolicy must be MatchAny for multiple audiences"},
      {"jwt:\n- issuer: {url: 'https://i', audiences: [a]}", "jwt[0].claimMappings.username: Required value"},
      {"anonymous: {enabled: false, conditions: [{path: /x}]}", "anonymous.conditions: Invalid value"},
      {"anonymous: {enabled: 7}", "anonymous.enabled: true or false is wanted"},
      {"jwt: 7", "jwt: a list is wanted"},
  };
  for (const Case& c : cases)
    EXPECT_NE(why(c.body).find(c.message), std::string::npos) << c.body << "\n" << why(c.body);
  EXPECT_NE(why("", "kind: AuthenticationConfiguration\napiVersion: v1\n").find("apiVersion: "), std::string::npos);
  EXPECT_NE(why("", "kind: Pod\napiVersion: v1\n").find("kind: "), std::string::npos);
  EXPECT_NE(why("jwt: [").find("line"), std::string::npos) << why("jwt: [");
}

TEST(AuthenticationConfiguration, RefusesCelRatherThanHalfUsingIt) {
  for (const std::string& more :
       {std::string("  userValidationRules: [{expression: 'true'}]\n"),
        std::string("    extra: [{key: a.b/c, valueExpression: x}]\n"),
        std::string("    uid: {expression: claims.sub}\n"), std::string("    groups: {expression: claims.groups}\n"),
        std::string("  claimValidationRules: [{expression: claims.x, message: no}]\n")})
    EXPECT_NE(why(issuer("", more)).find("CEL expressions are not supported"), std::string::npos)
        << why(issuer("", more));
}
