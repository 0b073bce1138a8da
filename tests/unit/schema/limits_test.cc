// What a hostile or careless client may send: time and memory stay bounded.
#include <gtest/gtest.h>

#include <chrono>

#include "schema/codec.h"
#include "schema/k8s/core_v1.h"
#include "schema/typed.h"

using namespace redoubt;
using namespace redoubt::schema;

namespace {

const Type& pod_type() {
  return *find_type("io.k8s.api.core.v1.Pod");
}

// Far above what linear work takes even under a sanitizer, far below what quadratic work takes.
constexpr auto kLinear = std::chrono::seconds(10);

template <class Work>
void expect_linear(Work work) {
  auto start = std::chrono::steady_clock::now();
  work();
  EXPECT_LT(std::chrono::steady_clock::now() - start, kLinear);
}

}  // namespace

TEST(Limits, ManyUnknownFieldsTakeLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 250'000; ++i) text += fmt::format("\"u{}\":1,", i);
  text += "\"kind\":\"Pod\"}";
  expect_linear([&] {
    Arena arena;
    DecodeWarnings warnings;
    auto value = parse_json(text, arena, {}, &warnings);
    ASSERT_TRUE(value);
    ASSERT_TRUE(conform(*value, pod_type(), arena, &warnings));
    EXPECT_EQ(value->size(), 1u);
    EXPECT_EQ(warnings.strict.size(), 50u);
  });
}

TEST(Limits, ManyDuplicateKeysTakeLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 100'000; ++i) text += fmt::format("\"k{}\":1,", i);
  for (int i = 0; i < 200'000; ++i) text += "\"k99999\":2,";
  text += "\"z\":0}";
  expect_linear([&] {
    Arena arena;
    auto value = parse_json(text, arena, {.max_bytes = SIZE_MAX});
    ASSERT_TRUE(value);
    EXPECT_EQ(value->size(), 100'001u);
    EXPECT_EQ(value->find("k99999")->as_int(), 2);
    EXPECT_TRUE(value->equals(value->clone(arena)));
  });
}

TEST(Limits, ManyMapEntriesInProtobufTakeLinearTime) {
  std::string message;
  for (int i = 0; i < 150'000; ++i) {
    std::string key = fmt::format("k{}", i % 120'000);
    std::string entry = "\x0a" + std::string(1, static_cast<char>(key.size())) + key + "\x12\x01v";
    message += "\x12" + std::string(1, static_cast<char>(entry.size())) + entry;
  }
  expect_linear([&] {
    Arena arena;
    auto value = parse_protobuf_message(message, *find_type("io.k8s.api.core.v1.ConfigMap"), arena);
    ASSERT_TRUE(value) << value.error().message();
    EXPECT_EQ(value->get({"data"}).size(), 120'000u);
  });
}

TEST(Limits, DepthIsRefusedInEveryForm) {
  Arena arena;
  std::string open(100'000, '['), objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_EQ(parse_json(open, arena).error().code(), 400);
  EXPECT_EQ(parse_json(objects, arena).error().code(), 400);
  EXPECT_EQ(parse_yaml(open, arena).error().code(), 400);
  EXPECT_EQ(parse_yaml(objects, arena).error().code(), 400);
  // As deep as it may be, it also conforms and is written.
  std::string schema;
  for (int i = 0; i < 990; ++i) schema += "{\"not\":";
  schema += "{}" + std::string(990, '}');
  const Type& type = *find_type("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps");
  auto value = parse_json(schema, arena);
  ASSERT_TRUE(value) << value.error().message();
  ASSERT_TRUE(conform(*value, type, arena));
  EXPECT_EQ(to_json(*value, &type), schema);
  EXPECT_TRUE(value->equals(value->clone(arena)));
}

TEST(Json, ReplacesWhatIsNoUtf8AsGoDoes) {
  Arena arena;
  auto value = parse_json("{\"a\xFF\":\"\xE2\x82\",\"b\":\"\xC3\xA9\\n\xC0\"}", arena);
  ASSERT_TRUE(value);
  EXPECT_EQ(to_json(*value, nullptr),
            "{\"a\xEF\xBF\xBD\":\"\xEF\xBF\xBD\xEF\xBF\xBD\",\"b\":\"\xC3\xA9\\n\xEF\xBF\xBD\"}");
}

TEST(Json, WritesNumbersAsGoDoes) {
  for (auto [in, out] :
       std::vector<std::pair<std::string, std::string>>{{"1.0", "1"},
                                                        {"-0.0", "0"},
                                                        {"1e21", "1e+21"},
                                                        {"1e20", "100000000000000000000"},
                                                        {"0.000001", "0.000001"},
                                                        {"1e-7", "1e-7"},
                                                        {"-1.25e-9", "-1.25e-9"},
                                                        {"0.1", "0.1"},
                                                        {"123456.789", "123456.789"},
                                                        {"18446744073709551615", "18446744073709552000"},
                                                        {"9223372036854775807", "9223372036854775807"}}) {
    Arena arena;
    auto value = parse_json(in, arena);
    ASSERT_TRUE(value) << in;
    EXPECT_EQ(to_json(*value, nullptr), out);
  }
}

TEST(Conform, WritesEqualObjectsAsEqualBytes) {
  auto canonical = [](std::string_view json, std::string_view type_name) {
    Arena arena;
    const Type& type = *find_type(type_name);
    auto value = parse_json(json, arena);
    EXPECT_TRUE(value);
    auto ok = conform(*value, type, arena);
    return ok ? to_json(*value, &type) : ok.error().message();
  };
  // What omitempty leaves out, nulls and zero times are noise; what is no pointer and not omitempty is always there.
  EXPECT_EQ(
      canonical(R"({"status":{"containerStatuses":[{"name":"c","state":null,"ready":false}],"startTime":null}})",
                "io.k8s.api.core.v1.Pod"),
      R"({"status":{"containerStatuses":[{"name":"c","ready":false,"restartCount":0,"image":"","imageID":""}]}})");
  EXPECT_EQ(
      canonical(R"({"metadata":{"creationTimestamp":"0001-01-01T00:00:00Z","labels":{}},"spec":{"hostPID":false}})",
                "io.k8s.api.core.v1.Pod"),
      "{}");
  EXPECT_EQ(
      canonical(R"({"metadata":{"creationTimestamp":"2026-01-02T04:04:05.999+01:00"}})", "io.k8s.api.core.v1.Pod"),
      R"({"metadata":{"creationTimestamp":"2026-01-02T03:04:05Z"}})");
  EXPECT_EQ(canonical(R"({"spec":{"replicas":0,"paused":false}})", "io.k8s.api.apps.v1.Deployment"),
            R"({"spec":{"replicas":0}})");
}

TEST(Conform, SaysWhatGoSays) {
  auto message = [](std::string_view json, std::string_view type_name) {
    Arena arena;
    auto value = parse_json(json, arena);
    EXPECT_TRUE(value);
    auto ok = conform(*value, *find_type(type_name), arena);
    return ok ? std::string("fine") : ok.error().message();
  };
  constexpr std::string_view kDeployment = "io.k8s.api.apps.v1.Deployment";
  EXPECT_EQ(message(R"({"spec":{"replicas":"3"}})", kDeployment),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32");
  EXPECT_EQ(message(R"({"spec":{"replicas":1.5}})", kDeployment),
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32");
  EXPECT_EQ(message(R"({"spec":{"template":{"spec":{"containers":[{"env":[{"name":"A","value":1}]}]}}}})", kDeployment),
            "json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type "
            "string");
  EXPECT_EQ(message(R"({"metadata":{"labels":{"a":true}}})", kDeployment),
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string");
  EXPECT_EQ(message(R"([1])", kDeployment), "json: cannot unmarshal array into Go value of type v1.Deployment");
  EXPECT_TRUE(message(R"({"spec":{"containers":[{"resources":{"limits":{"cpu":"1x"}}}]}})", "io.k8s.api.core.v1.Pod")
                  .starts_with("quantities must match the regular expression "));
  EXPECT_TRUE(message(R"({"spec":{"containers":[{"resources":{"limits":{"cpu":"1mm"}}}]}})", "io.k8s.api.core.v1.Pod")
                  .starts_with("unable to parse quantity's suffix (field spec.containers[0].resources.limits.cpu"));
  EXPECT_EQ(message(R"({"data":{"a":"?"}})", "io.k8s.api.core.v1.Secret"),
            "illegal base64 data at input byte 0 (field data.a)");
}

TEST(Typed, ComparesByMeaning) {
  k8s::core::v1::Pod a, b;
  EXPECT_TRUE(equal(a, b));
  a.metadata.labels["x"] = "1";
  EXPECT_FALSE(equal(a, b));
  b.metadata.labels["x"] = "1";
  a.spec.containers.emplace_back().resources.limits["memory"] = *Quantity::parse("1Gi");
  b.spec.containers.emplace_back().resources.limits["memory"] = *Quantity::parse("1024Mi");
  EXPECT_TRUE(equal(a, b));
  b.spec.containers[0].resources.limits["memory"] = *Quantity::parse("1025Mi");
  EXPECT_FALSE(equal(a, b));
  b = a;
  a.spec.terminationGracePeriodSeconds = 0;
  EXPECT_FALSE(equal(a, b)) << "a pointer to zero is not a missing one";
}

TEST(Typed, RefusesWhatDoesNotFit) {
  EXPECT_FALSE(from_json<k8s::core::v1::Pod>(R"({"spec":{"priority":4294967296}})"));
  EXPECT_FALSE(from_json<k8s::core::v1::Pod>(R"({"metadata":[]})"));
  EXPECT_FALSE(from_json<k8s::core::v1::Pod>(R"({"metadata":{"creationTimestamp":"yesterday"}})"));
  EXPECT_TRUE(from_json<k8s::core::v1::Pod>(R"({"unknown":1,"metadata":null})"));
  std::string large = R"({"data":{"k":")" + std::string(4 << 20, 'x') + "\"}}";
  EXPECT_TRUE(from_json<k8s::core::v1::ConfigMap>(large)) << "a client reads what its server sends";
}
