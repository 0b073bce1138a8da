#include <gtest/gtest.h>

#include "../auth/memory_store.h"
#include "apiserver/aggregation/group_discovery.h"
#include "apiserver/aggregation/passed_on.h"
#include "apiserver/context.h"
#include "schema/codec.h"

using namespace redoubt;
using namespace redoubt::apiserver;
using schema::Value;

namespace {

void add(MemoryStore& store, std::string group, std::string version, std::string more, int priority = 100,
         int order = 10) {
  store.put("apiregistration.k8s.io/apiservices",
            fmt::format(R"({{"metadata":{{"name":"{}.{}"}},"spec":{{"group":"{}","version":"{}",)"
                        R"("groupPriorityMinimum":{},"versionPriority":{}{}}}}})",
                        version, group, group, version, priority, order, more.empty() ? "" : "," + more));
}

constexpr const char* kService = R"("service":{"namespace":"kube-system","name":"m","port":8443})";
constexpr const char* kList =
    R"({"kind":"APIResourceList","groupVersion":"metrics.k8s.io/v1beta1","resources":[)"
    R"({"name":"pods","singularName":"pod","namespaced":true,"kind":"PodMetrics","verbs":["get","list"]},)"
    R"({"name":"pods/x","singularName":"","namespaced":true,"kind":"X","group":"y","version":"v1","verbs":["get"]}]})";

}  // namespace

TEST(ApiServices, OnlyGroupVersionsThatAreNotBuiltInAreElsewhere) {
  MemoryStore store;
  add(store, "metrics.k8s.io", "v1beta1", kService);
  add(store, "apps", "v1", kService);
  add(store, "local.example.com", "v1", "");
  ApiServices services(store);
  auto table = services.current();
  ASSERT_NE(table->find("metrics.k8s.io", "v1beta1"), nullptr);
  EXPECT_EQ(table->find("metrics.k8s.io", "v1beta1")->port, 8443);
  EXPECT_EQ(table->find("apps", "v1"), nullptr) << "nobody takes a built-in group away";
  EXPECT_EQ(table->find("local.example.com", "v1"), nullptr);
  EXPECT_EQ(table->find("metrics.k8s.io", "v1"), nullptr);
  EXPECT_EQ(services.current(), table) << "read once while nothing changes";
  add(store, "b.example.com", "v1", kService);
  EXPECT_NE(services.current(), table);
}

TEST(ApiServices, GroupsAndVersionsComeByPriority) {
  MemoryStore store;
  add(store, "b.example.com", "v1beta1", kService, 100, 5);
  add(store, "b.example.com", "v1", kService, 100, 20);
  add(store, "a.example.com", "v1", kService, 100);
  add(store, "z.example.com", "v1", kService, 2000);
  auto table = ApiServices(store).current();
  EXPECT_EQ(table->remote_groups(), (std::vector<std::string>{"z.example.com", "a.example.com", "b.example.com"}));
  auto versions = table->versions("b.example.com");
  ASSERT_EQ(versions.size(), 2u);
  EXPECT_EQ(versions[0]->version, "v1");
}

TEST(GroupDiscovery, AddsOthersGroupsToBothForms) {
  MemoryStore store;
  auto nothing = [](const std::string&) { return SaidResources(); };
  EXPECT_FALSE(merged_discovery(*ApiServices(store).current(), nothing, "/apis", "").has_value());
  add(store, "metrics.k8s.io", "v1beta1", kService);
  auto table = ApiServices(store).current();
  schema::Arena arena;
  auto parsed = [&](const char* path, const char* accept, std::string resources) {
    auto document = merged_discovery(
        *table,
        [=](const std::string&) {
          return SaidResources{discovered_resources("metrics.k8s.io", "v1beta1", resources).value_or(""), true};
        },
        path, accept);
    EXPECT_TRUE(document.has_value()) << path;
    return document ? *schema::parse_json(arena.copy(document->body), arena, {.max_bytes = SIZE_MAX}) : Value();
  };
  Value list = parsed("/apis", "", "");
  size_t last = list.get({"groups"}).size() - 1;
  EXPECT_EQ(list.get({"groups"}).at(last).get({"name"}).as_string(), "metrics.k8s.io");
  EXPECT_EQ(parsed("/apis/metrics.k8s.io", "", "").get({"preferredVersion", "groupVersion"}).as_string(),
            "metrics.k8s.io/v1beta1");
  constexpr const char* kV2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
  Value all = parsed("/apis", kV2, kList);
  Value group = all.get({"items"}).at(all.get({"items"}).size() - 1);
  EXPECT_EQ(group.get({"metadata", "name"}).as_string(), "metrics.k8s.io");
  Value version = group.get({"versions"}).at(0);
  EXPECT_EQ(version.get({"freshness"}).as_string(), "Current");
  ASSERT_EQ(version.get({"resources"}).size(), 1u);
  Value pods = version.get({"resources"}).at(0);
  EXPECT_EQ(pods.get({"responseKind", "kind"}).as_string(), "PodMetrics");
  EXPECT_EQ(pods.get({"responseKind", "group"}).as_string(), "metrics.k8s.io");
  EXPECT_EQ(pods.get({"scope"}).as_string(), "Namespaced");
  EXPECT_EQ(pods.get({"subresources"}).at(0).get({"subresource"}).as_string(), "x");
  EXPECT_EQ(pods.get({"subresources"}).at(0).get({"responseKind", "group"}).as_string(), "y");
  EXPECT_FALSE(merged_discovery(*table, nothing, "/apis/apps", "").has_value());
}

TEST(GroupDiscovery, AServerThatSaidNothingReadableIsStale) {
  for (const char* said : {"", "<html>", "[]", "{}", R"({"resources":3})"})
    EXPECT_FALSE(discovered_resources("g", "v1", said).has_value()) << said;
  EXPECT_EQ(version_discovery("v1", {}), R"({"version":"v1","freshness":"Stale","resources":[]})");
}

TEST(GroupDiscovery, AServerThatDoesNotAnswerAnyMoreKeepsItsResourcesAsStale) {
  std::string out = version_discovery("v1beta1", {*discovered_resources("metrics.k8s.io", "v1beta1", kList), false});
  EXPECT_NE(out.find(R"("freshness":"Stale")"), std::string::npos);
  EXPECT_NE(out.find(R"("resource":"pods")"), std::string::npos);
}

TEST(GroupDiscovery, TheOpenApiIndexNamesThoseThatAnswer) {
  MemoryStore store;
  add(store, "a.example.com", "v1", kService);
  add(store, "b.example.com", "v1", kService);
  auto table = ApiServices(store).current();
  auto known = [](const std::string& gv) { return SaidResources{"{}", gv == "a.example.com/v1"}; };
  auto merged = merged_openapi_index(*table, known, R"({"paths":{"api/v1":{"serverRelativeURL":"/x"}}})");
  ASSERT_TRUE(merged.has_value());
  EXPECT_EQ(merged->body, R"({"paths":{"api/v1":{"serverRelativeURL":"/x"},)"
                          R"("apis/a.example.com/v1":{"serverRelativeURL":"/openapi/v3/apis/a.example.com/v1"}}})");
  auto nobody = [](const std::string&) { return SaidResources(); };
  EXPECT_FALSE(merged_openapi_index(*table, nobody, R"({"paths":{}})").has_value());
}

TEST(ApiServices, AServerThatCanNotBeVerifiedIsObjectedTo) {
  MemoryStore store;
  add(store, "plain.example.com", "v1", kService);
  add(store, "insecure.example.com", "v1", std::string(kService) + R"(,"insecureSkipTLSVerify":true)");
  add(store, "garbage.example.com", "v1", std::string(kService) + R"(,"caBundle":"bm90IGEgY2VydGlmaWNhdGU=")");
  add(store, "broken.example.com", "v1", std::string(kService) + R"(,"caBundle":"%%%")");
  auto table = ApiServices(store).current();
  EXPECT_EQ(table->find("plain.example.com", "v1")->objection, "");
  EXPECT_EQ(table->find("insecure.example.com", "v1")->objection_reason, "VerificationRequired");
  for (const char* group : {"garbage.example.com", "broken.example.com"})
    EXPECT_EQ(table->find(group, "v1")->objection_reason, "InvalidCABundle") << group;
}

TEST(PassedOn, TheGroupVersionIsReadOffThePath) {
  for (auto [path, wanted] : std::initializer_list<std::pair<const char*, const char*>>{
           {"/apis/g.example.com/v1", "g.example.com/v1"},
           {"/apis/g.example.com/v1/", "g.example.com/v1"},
           {"/apis/g.example.com/v1/namespaces/a/things/b/sub/deep", "g.example.com/v1"},
           {"/openapi/v3/apis/g.example.com/v1", "g.example.com/v1"},
           {"/apis/g.example.com", nullptr},
           {"/apis/g.example.com/", nullptr},
           {"/apis//v1", nullptr},
           {"/api/v1/pods", nullptr},
           {"/openapi/v3/api/v1", nullptr},
           {"/openapi/v3/", nullptr},
           {"/", nullptr},
           {"", nullptr}}) {
    auto asked = asked_group_version(path);
    ASSERT_EQ(asked.has_value(), wanted != nullptr) << path;
    if (asked) {
      EXPECT_EQ(asked->group_version, wanted) << path;
      EXPECT_EQ(fmt::format("{}/{}", asked->group, asked->version), wanted) << path;
    }
  }
}

TEST(PassedOn, APathThatReadsOtherwiseElsewhereIsRefused) {
  for (const char* path : {"/apis/g/v1", "/apis/g/v1/", "/apis/g/v1/things/a%20b", "/apis/g/v1/things/..."})
    EXPECT_TRUE(unambiguous_path(path).has_value()) << path;
  for (const char* path :
       {"/apis/g/v1/namespaces/a%2fb/things", "/apis/g/v1/../../../api/v1/secrets", "/apis/g/v1/%2e%2e/x",
        "/apis/g/v1/./things", "/apis/g/v1//things", "/apis/g/v1/things//", "/apis/g/v1/%zz"}) {
    auto refused = unambiguous_path(path);
    ASSERT_FALSE(refused.has_value()) << path;
    EXPECT_EQ(refused.error().code(), 400) << path;
  }
}

TEST(PassedOn, TheUserIsToldWholeOrNotAtAll) {
  UserInfo user;
  user.name = "system:serviceaccount:a:b";
  user.uid = "u-1";
  user.groups = {"one", "two three"};
  user.extra = {{"authentication.kubernetes.io/pod-name", {"p", "q"}}};
  net::Headers headers;
  ASSERT_TRUE(tell_user(user, headers).has_value());
  EXPECT_EQ(headers.get("x-remote-user"), "system:serviceaccount:a:b");
  EXPECT_EQ(headers.get("x-remote-uid"), "u-1");
  EXPECT_EQ(headers.get_all("x-remote-group"), (std::vector<std::string_view>{"one", "two three"}));
  EXPECT_EQ(headers.get_all("x-remote-extra-authentication.kubernetes.io%2fpod-name").size() +
                headers.get_all("x-remote-extra-authentication.kubernetes.io%2Fpod-name").size(),
            2u);
  for (const char* name : {"", " admin", "admin ", "a\r\nx-remote-group: system:masters", "tab\t"}) {
    UserInfo odd;
    odd.name = name;
    net::Headers none;
    EXPECT_FALSE(tell_user(odd, none).has_value()) << name;
  }
  UserInfo odd;
  odd.name = "a";
  odd.groups = {"good", "bad "};
  net::Headers none;
  EXPECT_FALSE(tell_user(odd, none).has_value());
}

TEST(RequestInfo, DeeperPathsAreThoseOfExtensionServersOnly) {
  auto info_of = [](const char* path) {
    net::Request request;
    request.method = "GET";
    request.target = request.path = path;
    return *parse_request_info(request, {});
  };
  EXPECT_EQ(info_of("/api/v1/namespaces/a/pods/p/log/deep").resource, "");
  EXPECT_EQ(info_of("/apis/apps/v1/namespaces/a/deployments/d/scale/deep").resource, "");
  auto theirs = info_of("/apis/subresources.example.com/v1/namespaces/a/machines/m/portforward/80/tcp");
  EXPECT_EQ(theirs.resource, "machines");
  EXPECT_EQ(theirs.name, "m");
  EXPECT_EQ(theirs.subresource, "portforward");
}
