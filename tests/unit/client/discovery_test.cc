#include "client/discovery.h"

#include <gtest/gtest.h>

namespace redoubt::client {
namespace {

TEST(Discovery, TakesEachResourceInThePreferredVersion) {
  Discovered found;
  auto read = parse_discovery(R"({"kind":"APIGroupDiscoveryList","items":[{"metadata":{"name":"apps"},"versions":[
    {"version":"v1","resources":[{"resource":"deployments","responseKind":{"kind":"Deployment"},"scope":"Namespaced",
      "verbs":["list","watch"],"subresources":[{"subresource":"scale"}]}]},
    {"version":"v1beta1","resources":[{"resource":"deployments","responseKind":{"kind":"Deployment"},"scope":"Namespaced",
      "verbs":["list"]},{"resource":"olds","responseKind":{"kind":"Old"},"scope":"Cluster","verbs":["get"]}]}]}]})",
                              found);
  ASSERT_TRUE(read) << read.error().message();
  ASSERT_EQ(found.resources.size(), 2u);
  EXPECT_EQ(found.resources[0].version, "v1");
  EXPECT_EQ(found.resources[0].group_resource(), "deployments.apps");
  EXPECT_TRUE(found.resources[0].namespaced);
  EXPECT_TRUE(found.resources[0].can("watch"));
  EXPECT_FALSE(found.resources[0].can("delete"));
  EXPECT_EQ(found.resources[1].version, "v1beta1");
  EXPECT_FALSE(found.resources[1].namespaced);
}

TEST(Discovery, NamesGroupsThatDoNotAnswer) {
  Discovered found;
  ASSERT_TRUE(parse_discovery(R"({"kind":"APIGroupDiscoveryList","items":[{"metadata":{"name":"metrics.k8s.io"},
    "versions":[{"version":"v1beta1","freshness":"Stale"}]}]})",
                              found));
  EXPECT_EQ(found.failed, std::vector<std::string>{"metrics.k8s.io/v1beta1"});
  EXPECT_TRUE(found.resources.empty());
}

TEST(Discovery, RefusesTheOlderForm) {
  Discovered found;
  EXPECT_FALSE(parse_discovery(R"({"kind":"APIGroupList","groups":[]})", found));
}

}  // namespace
}  // namespace redoubt::client
