#include "schema/openapi.h"

#include <gtest/gtest.h>

#include <set>

#include "schema/codec.h"

using namespace redoubt::schema;

namespace {

std::vector<const Resource*> everything() {
  std::vector<const Resource*> out;
  for (const Resource& r : builtin_resources()) out.push_back(&r);
  return out;
}

Value parse(const std::string& text, Arena& arena) {
  DecodeLimits limits;
  limits.max_bytes = 64 << 20;
  auto value = parse_json(arena.copy(text), arena, limits);
  EXPECT_TRUE(value) << value.error().to_json().substr(0, 500);
  return value ? *value : Value();
}

// Every $ref below `value`.
void collect_refs(const Value& value, std::set<std::string>& into) {
  for (const Member& m : members(value)) {
    if (m.key == "$ref" && m.value.is_string()) into.emplace(m.value.as_string());
    collect_refs(m.value, into);
  }
  for (const Value& item : items(value)) collect_refs(item, into);
}

}  // namespace

TEST(OpenApi, EveryReferenceOfEveryDocumentIsInIt) {
  auto all = everything();
  std::set<std::pair<std::string_view, std::string_view>> versions;
  for (const Resource* r : all) versions.emplace(r->group, r->version);
  for (auto [group, version] : versions) {
    Arena arena;
    Value doc = parse(openapi_v3(group, version, all), arena);
    Value schemas = doc.get({"components", "schemas"});
    std::set<std::string> refs;
    collect_refs(doc, refs);
    EXPECT_GT(refs.size(), 3u) << group;
    for (const std::string& ref : refs)
      EXPECT_TRUE(schemas.has(ref.substr(std::string("#/components/schemas/").size()))) << group << " " << ref;
  }
  Arena arena;
  Value doc = parse(openapi_v2(all), arena);
  std::set<std::string> refs;
  collect_refs(doc, refs);
  for (const std::string& ref : refs)
    EXPECT_TRUE(doc.get({"definitions"}).has(ref.substr(std::string("#/definitions/").size()))) << ref;
  EXPECT_EQ(doc.get({"swagger"}).as_string(), "2.0");
}

TEST(OpenApi, OperationIdsAreUnique) {
  Arena arena;
  Value doc = parse(openapi_v2(everything()), arena);
  std::set<std::string> ids;
  for (const Member& path : members(doc.get({"paths"}))) {
    for (const Member& op : members(path.value))
      EXPECT_TRUE(ids.emplace(op.value.get({"operationId"}).as_string()).second)
          << op.value.get({"operationId"}).as_string();
  }
  EXPECT_TRUE(ids.contains("listCoreV1NamespacedPod"));
  EXPECT_TRUE(ids.contains("listCoreV1PodForAllNamespaces"));
  EXPECT_TRUE(ids.contains("replaceRbacAuthorizationV1ClusterRole"));
  EXPECT_TRUE(ids.contains("deleteAppsV1CollectionNamespacedDeployment"));
}

TEST(OpenApi, PatchTellsClientsThatTheServerValidatesFields) {
  Arena arena;
  Value doc = parse(openapi_v3("", "v1", everything()), arena);
  Value patch = doc.get({"paths", "/api/v1/namespaces/{namespace}/pods/{name}", "patch"});
  EXPECT_EQ(patch.get({"x-kubernetes-group-version-kind", "kind"}).as_string(), "Pod");
  std::set<std::string> names;
  for (const Value& p : items(patch.get({"parameters"}))) names.emplace(p.get({"name"}).as_string());
  EXPECT_TRUE(names.contains("fieldValidation"));
  EXPECT_TRUE(names.contains("dryRun"));
  EXPECT_TRUE(names.contains("namespace"));
}

TEST(OpenApi, SchemasCarryKindsDocumentationAndMergeKeys) {
  Arena arena;
  Value doc = parse(openapi_v3("", "v1", everything()), arena);
  Value pod = doc.get({"components", "schemas", "io.k8s.api.core.v1.Pod"});
  EXPECT_EQ(pod.get({"x-kubernetes-group-version-kind"}).at(0).get({"kind"}).as_string(), "Pod");
  EXPECT_FALSE(pod.get({"description"}).as_string().empty());
  Value containers = doc.get({"components", "schemas", "io.k8s.api.core.v1.PodSpec", "properties", "containers"});
  EXPECT_EQ(containers.get({"x-kubernetes-patch-merge-key"}).as_string(), "name");
  EXPECT_EQ(containers.get({"x-kubernetes-patch-strategy"}).as_string(), "merge");
  EXPECT_EQ(containers.get({"x-kubernetes-list-type"}).as_string(), "map");
  // Inlined members stand in their parent.
  EXPECT_TRUE(doc.get({"components", "schemas", "io.k8s.api.core.v1.Volume", "properties"}).has("hostPath"));
  EXPECT_TRUE(doc.get({"components", "schemas"}).has("io.k8s.apimachinery.pkg.api.resource.Quantity"));
}
