#include "schema/codec.h"

#include <gtest/gtest.h>

#include "schema/k8s/apps_v1.h"
#include "schema/k8s/core_v1.h"
#include "schema/typed.h"

using namespace redoubt;
using namespace redoubt::schema;

namespace {

constexpr std::string_view kPod = R"({"spec":{"containers":[{"image":"i","name":"c","ports":[{"containerPort":80}],
 "resources":{"limits":{"cpu":"1500m","memory":"1024Mi"}}}],"terminationGracePeriodSeconds":0,"hostNetwork":false,
 "volumes":[{"configMap":{"name":"m"},"name":"v"}]},
 "apiVersion":"v1","kind":"Pod","metadata":{"name":"p","creationTimestamp":null,"labels":{"b":"2","a":"1"}},"status":{}})";

const Type& pod_type() {
  return *find_type("io.k8s.api.core.v1.Pod");
}

std::string conformed(std::string_view json, const Type& type) {
  Arena arena;
  auto value = parse_json(json, arena);
  if (!value) return value.error().message();
  auto ok = conform(*value, type, arena);
  if (!ok) return ok.error().message();
  return to_json(*value, &type);
}

}  // namespace

TEST(Conform, MakesCanonicalJson) {
  EXPECT_EQ(
      conformed(kPod, pod_type()),
      R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","labels":{"a":"1","b":"2"}},"spec":{"volumes":[{"name":"v","configMap":{"name":"m"}}],)"
      R"("containers":[{"name":"c","image":"i","ports":[{"containerPort":80}],"resources":{"limits":{"cpu":"1500m","memory":"1Gi"}}}],)"
      R"("terminationGracePeriodSeconds":0}})");
}

TEST(Conform, NamesTheFieldThatDoesNotFit) {
  EXPECT_EQ(conformed(R"({"spec":{"containers":"x"}})", pod_type()),
            "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container");
  EXPECT_NE(conformed(R"({"metadata":{"labels":{"a":1}}})", pod_type()).find("cannot unmarshal number"),
            std::string::npos);
}

TEST(Conform, NotesUnknownAndDuplicateFields) {
  Arena arena;
  DecodeWarnings warnings;
  auto value =
      parse_json(R"({"metadata":{"name":"a","name":"b"},"spec":{"containers":[{"nope":1}]}})", arena, {}, &warnings);
  ASSERT_TRUE(value);
  ASSERT_TRUE(conform(*value, pod_type(), arena, &warnings));
  EXPECT_EQ(warnings.strict, (std::vector<std::string>{"duplicate field \"metadata.name\"",
                                                       "unknown field \"spec.containers[0].nope\""}));
  EXPECT_EQ(value->get({"metadata", "name"}).as_string(), "b");
}

TEST(ParseJson, RefusesWhatIsNoJson) {
  Arena arena;
  for (const char* text : {"", "{", "[1,]", "{\"a\":1,}", "01", "1.", "nul", "\"\n\"", "\"\\x\"", "{} {}", "-", "[1 2]",
                           "1e999", "\"\\u12\""}) {
    auto value = parse_json(text, arena);
    ASSERT_FALSE(value) << text;
    EXPECT_EQ(value.error().code(), 400);
  }
  EXPECT_FALSE(parse_json(std::string(100'000, '['), arena));
  EXPECT_EQ(parse_json(std::string(200, ' '), arena, {.max_bytes = 100}).error().code(), 413);
}

TEST(ParseJson, UnderstandsEscapesAndNumbers) {
  Arena arena;
  auto value = parse_json(R"(["\u00e9\ud83d\ude00\n", -12, 1.5, 1e3, 9223372036854775808])", arena);
  ASSERT_TRUE(value);
  EXPECT_EQ(value->at(0).as_string(), "\xC3\xA9\xF0\x9F\x98\x80\n");
  EXPECT_EQ(value->at(1).as_int(), -12);
  EXPECT_DOUBLE_EQ(value->at(4).as_double(), 9223372036854775808.0);
}

TEST(Typed, RoundTripsThroughStructs) {
  auto pod = from_json<k8s::core::v1::Pod>(kPod);
  ASSERT_TRUE(pod) << pod.error().message();
  EXPECT_EQ(pod->metadata.name, "p");
  EXPECT_EQ(pod->metadata.labels.at("b"), "2");
  EXPECT_EQ(pod->spec.containers[0].resources.limits.at("memory").value(), 1 << 30);
  EXPECT_EQ(pod->spec.terminationGracePeriodSeconds, 0);
  EXPECT_EQ(pod->spec.volumes[0].configMap->name, "m");
  EXPECT_EQ(conformed(to_json(*pod), pod_type()), conformed(kPod, pod_type()));
  k8s::apps::v1::Deployment deployment;
  EXPECT_EQ(deployment.kResource, "deployments");
  EXPECT_EQ(deployment.apiVersion, "apps/v1");
  EXPECT_TRUE(equal(deployment, k8s::apps::v1::Deployment{}));
}

TEST(Types, AreAllThereWithDocumentation) {
  EXPECT_GT(all_types().size(), 1000u);
  for (const Type* type : all_types()) {
    EXPECT_EQ(find_type(type->name), type);
    EXPECT_EQ(find_type(type->proto_name), type);
  }
  EXPECT_NE(documentation(find_field(pod_type(), "spec")->doc).find("desired behavior"), std::string_view::npos);
  const Field* containers = find_field(*find_type("io.k8s.api.core.v1.PodSpec"), "containers");
  EXPECT_TRUE(containers->patch_merge);
  EXPECT_EQ(containers->patch_merge_key, "name");
  EXPECT_EQ(containers->list_type, ListType::Map);
  const Field* restart_policy = find_field(*find_type("io.k8s.api.core.v1.PodSpec"), "restartPolicy");
  EXPECT_TRUE(std::ranges::equal(restart_policy->enum_values, std::array{"Always", "Never", "OnFailure"}));
  EXPECT_TRUE(find_field(*find_type("io.k8s.api.core.v1.PodSpec"), "nodeName")->enum_values.empty());
}
