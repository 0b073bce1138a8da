#include "apiserver/auth/abac.h"

#include <gtest/gtest.h>

using namespace redoubt;
using namespace redoubt::apiserver;

namespace {

std::shared_ptr<const AbacPolicies> policies(std::string_view text) {
  auto parsed = AbacPolicies::parse(text);
  EXPECT_TRUE(parsed) << parsed.error().message();
  return *parsed;
}
UserInfo somebody(const char* name, std::vector<std::string> groups = {"system:authenticated"}) {
  return {name, "", std::move(groups), {}};
}
Attributes resource(const char* verb, const char* what, const char* ns, const char* group = "") {
  Attributes a;
  a.verb = verb;
  a.resource = what;
  a.namespace_ = ns;
  a.api_group = group;
  return a;
}
Attributes path(const char* verb, const char* what) {
  Attributes a;
  a.verb = verb;
  a.resource_request = false;
  a.path = what;
  return a;
}

std::string line(const std::string& spec) {
  return R"({"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":)" + spec + "}\n";
}

}  // namespace

TEST(Abac, MatchesUserNamespaceResourceAndGroup) {
  auto p = policies(line(R"({"user":"alice","namespace":"a","resource":"pods","apiGroup":""})") + "# a comment\n\n" +
                    line(R"({"group":"devs","namespace":"*","resource":"*","apiGroup":"*","readonly":true})"));
  EXPECT_TRUE(p->authorize(somebody("alice"), resource("delete", "pods", "a")).allowed);
  EXPECT_FALSE(p->authorize(somebody("alice"), resource("delete", "pods", "b")).allowed);
  EXPECT_FALSE(p->authorize(somebody("alice"), resource("get", "secrets", "a")).allowed);
  EXPECT_FALSE(p->authorize(somebody("alice"), resource("get", "pods", "a", "metrics.k8s.io")).allowed);
  EXPECT_FALSE(p->authorize(somebody("bob"), resource("get", "pods", "a")).allowed);
  EXPECT_TRUE(p->authorize(somebody("bob", {"devs"}), resource("watch", "secrets", "z", "apps")).allowed);
  EXPECT_FALSE(p->authorize(somebody("bob", {"devs"}), resource("create", "pods", "z")).allowed);
  EXPECT_FALSE(p->authorize(somebody("alice"), path("get", "/version")).allowed);
}

TEST(Abac, WantsBothUserAndGroupWhereBothAreNamed) {
  auto p = policies(line(R"({"user":"alice","group":"devs","namespace":"*","resource":"*","apiGroup":"*"})"));
  EXPECT_FALSE(p->authorize(somebody("alice"), resource("get", "pods", "a")).allowed);
  EXPECT_FALSE(p->authorize(somebody("bob", {"devs"}), resource("get", "pods", "a")).allowed);
  EXPECT_TRUE(p->authorize(somebody("alice", {"devs"}), resource("get", "pods", "a")).allowed);
}

TEST(Abac, MatchesPathsByPrefix) {
  auto p = policies(line(R"({"user":"alice","nonResourcePath":"/apis/*","readonly":true})") +
                    line(R"({"user":"carol","nonResourcePath":"*"})"));
  EXPECT_TRUE(p->authorize(somebody("alice"), path("get", "/apis/apps")).allowed);
  EXPECT_FALSE(p->authorize(somebody("alice"), path("post", "/apis/apps")).allowed);
  EXPECT_FALSE(p->authorize(somebody("alice"), path("get", "/version")).allowed);
  EXPECT_TRUE(p->authorize(somebody("carol"), path("post", "/anything")).allowed);
  EXPECT_FALSE(p->authorize(somebody("carol"), resource("get", "pods", "a")).allowed);
}

TEST(Abac, AStarIsEverybodyButTheAnonymous) {
  auto p = policies(line(R"({"user":"*","namespace":"*","resource":"pods","apiGroup":""})"));
  EXPECT_TRUE(p->authorize(somebody("bob"), resource("get", "pods", "a")).allowed);
  EXPECT_FALSE(
      p->authorize(somebody("system:anonymous", {"system:unauthenticated"}), resource("get", "pods", "a")).allowed);
}

TEST(Abac, ReadsTheOldForm) {
  auto p = policies(R"({"user":"alice"})"
                    "\n"
                    R"({"resource":"pods","readonly":true})"
                    "\n");
  EXPECT_TRUE(p->authorize(somebody("alice"), resource("delete", "nodes", "", "x")).allowed);
  EXPECT_TRUE(p->authorize(somebody("alice"), path("get", "/version")).allowed);
  EXPECT_TRUE(p->authorize(somebody("bob"), resource("list", "pods", "a")).allowed);
  EXPECT_FALSE(p->authorize(somebody("bob"), path("get", "/version")).allowed);
}

TEST(Abac, SaysWhichLineIsWrong) {
  auto why = [](const std::string& text) {
    auto parsed = AbacPolicies::parse(text);
    return parsed ? std::string("ok") : parsed.error().message();
  };
  EXPECT_TRUE(why("\n# x\n{").starts_with("line 3: "));
  EXPECT_EQ(why("[]"), "line 1: a JSON object is wanted");
  EXPECT_NE(why(R"({"apiVersion":"v7","kind":"Policy","spec":{}})").find("line 1: apiVersion \"v7\""),
            std::string::npos);
  EXPECT_NE(why(line(R"({"user":7})")).find("user: a string is wanted"), std::string::npos);
  EXPECT_NE(why(line(R"({"readonly":"yes"})")).find("readonly: true or false"), std::string::npos);
}

TEST(Abac, ListsRules) {
  auto p = policies(line(R"({"user":"alice","namespace":"a","resource":"pods","apiGroup":"","readonly":true})") +
                    line(R"({"user":"alice","nonResourcePath":"/x","namespace":"a"})"));
  auto rules = p->rules_for(somebody("alice"), "a");
  ASSERT_EQ(rules.size(), 2u);
  EXPECT_EQ(rules[0].verbs, (std::vector<std::string>{"get", "list", "watch"}));
  EXPECT_EQ(rules[1].nonResourceURLs, std::vector<std::string>{"/x"});
  EXPECT_TRUE(p->rules_for(somebody("alice"), "b").empty());
}
