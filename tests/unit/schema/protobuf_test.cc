// Kubernetes' protobuf form, against bytes that protobuf's own library made from upstream's .proto files.
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "schema/codec.h"
#include "schema/protobuf_list.h"

using namespace redoubt;
using namespace redoubt::schema;

namespace {

// A Pod with inlined messages, maps, quantities, both kinds of ports, a zero pointer and a negative number; after it a
// CRD's schema, a TokenReview with a list wrapper in a map, a Lease and a Secret.
constexpr std::string_view kPodHex =
    "6b3873000a090a0276311203506f6412ec010a490a037765623803420808a5ebdcca0610005a060a01611201315a060a0162"
    "12013262090a05656d70747912008a011a0a076b75626563746c3a0f0a0d7b22663a73706563223a7b7d7d129a010a110a01"
    "76120c9a01090a040a02636d18a4030a070a016512021200126a0a01631203693a3122002201783a100a01451a0b1a090a04"
    "0a02636d12016b42210a0e0a0363707512070a05313530306d0a0f0a066d656d6f727912050a0331476952160a1212100a02"
    "2f68120808011a0468747470220020055a0b0a091a070a05080010903f800100200058007200c801f6ffffffffffffffff01"
    "1a020a001a002200";
constexpr std::string_view kSchemaHex =
    "2a066f626a656374ea011b0a016112162a056172726179c2010c0a0a2a06737472696e676800ea01150a01621210f2010d08"
    "0112092a07696e7465676572ea010a0a01631205f201020800ea01240a0164121f420b0a097b2278223a5b315d7d49000000"
    "000000f83fa201060a046e756c6cea01180a016c12131a03232f78c2010b12092a07626f6f6c65616e8202080a0171120312"
    "0172b00201";
constexpr std::string_view kReviewHex = "1a1c080112180a017512017822100a0673636f70657312060a01610a0162";
constexpr std::string_view kLeaseHex = "0a030a016e120f1028220b08a5ebdcca06108094ef3a";
constexpr std::string_view kSecretHex = "12050a0165120012070a016b120200ff";

const Type* type_of(std::string_view api_version, std::string_view kind) {
  if (api_version != "v1") return nullptr;
  return find_type("io.k8s.api.core.v1." + std::string(kind));
}

const Type& type(std::string_view name) {
  const Type* found = find_type(name);
  EXPECT_NE(found, nullptr) << name;
  return *found;
}

std::string bytes(std::string_view hex) {
  return hex_decode(hex).value();
}

// Decodes, conforms and writes JSON; the error's message when that fails.
std::string json_of(std::string_view hex, std::string_view type_name) {
  Arena arena;
  std::string message = bytes(hex);
  auto value = parse_protobuf_message(message, type(type_name), arena);
  if (!value) return value.error().message();
  auto ok = conform(*value, type(type_name), arena);
  return ok ? to_json(*value, &type(type_name)) : ok.error().message();
}

// JSON to protobuf and back.
std::string through_protobuf(std::string_view json, std::string_view type_name) {
  Arena arena;
  auto value = parse_json(json, arena);
  EXPECT_TRUE(value && conform(*value, type(type_name), arena)) << json;
  auto encoded = to_protobuf_message(*value, type(type_name));
  if (!encoded) return encoded.error().message();
  auto back = parse_protobuf_message(*encoded, type(type_name), arena);
  if (!back) return back.error().message();
  EXPECT_TRUE(conform(*back, type(type_name), arena));
  return to_json(*back, &type(type_name));
}

constexpr std::string_view kPodJson =
    R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","generation":3,"creationTimestamp":"2026-01-02T03:04:05Z",)"
    R"("labels":{"a":"1","b":"2"},"annotations":{"empty":""},"managedFields":[{"manager":"kubectl","fieldsV1":{"f:spec":{}}}]},)"
    R"("spec":{"volumes":[{"name":"v","configMap":{"name":"cm","defaultMode":420}},{"name":"e","emptyDir":{}}],)"
    R"("containers":[{"name":"c","image":"i:1","args":["","x"],"env":[{"name":"E","valueFrom":{"configMapKeyRef":{"name":"cm","key":"k"}}}],)"
    R"("resources":{"limits":{"cpu":"1500m","memory":"1Gi"}},"livenessProbe":{"httpGet":{"path":"/h","port":"http"},"periodSeconds":5},)"
    R"("readinessProbe":{"tcpSocket":{"port":8080}}}],"terminationGracePeriodSeconds":0,"securityContext":{},"priority":-10}})";

}  // namespace

TEST(Protobuf, ReadsWhatUpstreamsMessagesSay) {
  Arena arena;
  std::string message = bytes(kPodHex);
  auto pod = parse_protobuf(message, arena, type_of);
  ASSERT_TRUE(pod) << pod.error().message();
  EXPECT_EQ(to_json(*pod, &type("io.k8s.api.core.v1.Pod")), kPodJson);
  ASSERT_TRUE(conform(*pod, type("io.k8s.api.core.v1.Pod"), arena));
  EXPECT_EQ(to_json(*pod, &type("io.k8s.api.core.v1.Pod")), kPodJson);
}

TEST(Protobuf, RoundTripsAnObjectWithItsKind) {
  Arena arena;
  auto pod = parse_json(kPodJson, arena);
  const Type& pod_type = type("io.k8s.api.core.v1.Pod");
  ASSERT_TRUE(pod && conform(*pod, pod_type, arena));
  auto encoded = to_protobuf(*pod, pod_type);
  ASSERT_TRUE(encoded) << encoded.error().message();
  EXPECT_TRUE(encoded->starts_with(std::string_view("k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12", 16)));
  auto back = parse_protobuf(*encoded, arena, type_of);
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(to_json(*back, &pod_type), kPodJson);
}

TEST(Protobuf, ReadsTheMessagesThatJsonShowsAsSomethingElse) {
  EXPECT_EQ(json_of(kSchemaHex, "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"),
            R"({"type":"object","properties":{"a":{"type":"array","items":{"type":"string","maxLength":0}},)"
            R"("b":{"additionalProperties":{"type":"integer"}},"c":{"additionalProperties":false},)"
            R"("d":{"default":{"x":[1]},"maximum":1.5,"enum":[null]},"l":{"$ref":"#/x","items":[{"type":"boolean"}]}},)"
            R"("dependencies":{"q":["r"]},"x-kubernetes-preserve-unknown-fields":true})");
  EXPECT_EQ(json_of(kReviewHex, "io.k8s.api.authentication.v1.TokenReview"),
            R"({"status":{"authenticated":true,"user":{"username":"u","uid":"x","extra":{"scopes":["a","b"]}}}})");
  EXPECT_EQ(
      json_of(kLeaseHex, "io.k8s.api.coordination.v1.Lease"),
      R"({"metadata":{"name":"n"},"spec":{"leaseDurationSeconds":40,"renewTime":"2026-01-02T03:04:05.123456Z"}})");
  EXPECT_EQ(json_of(kSecretHex, "io.k8s.api.core.v1.Secret"), R"({"data":{"e":"","k":"AP8="}})");
}

TEST(Protobuf, WritesTheMessagesThatJsonShowsAsSomethingElse) {
  for (
      auto [json, name] : std::vector<std::pair<std::string, std::string>>{
          {R"({"type":"object","properties":{"a":{"items":{"type":"string"}},"b":{"additionalProperties":{"type":"integer"}},)"
           R"("c":{"additionalProperties":false},"d":{"default":{"x":[1]},"enum":[null,"a",1.5]},)"
           R"("l":{"$ref":"#/x","items":[{"type":"boolean"},{}]}},"dependencies":{"q":["r"],"s":{"type":"null"}}})",
           "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"},
          {R"({"status":{"user":{"username":"u","extra":{"scopes":["a","b"]}}}})",
           "io.k8s.api.authentication.v1.TokenReview"},
          {R"({"spec":{"leaseDurationSeconds":40,"renewTime":"2026-01-02T03:04:05.123456Z"}})",
           "io.k8s.api.coordination.v1.Lease"},
          {R"({"data":{"e":"","k":"AP8="}})", "io.k8s.api.core.v1.Secret"},
          {R"({"data":{"raw":{"any":[1,"x",null]}},"revision":-7})", "io.k8s.api.apps.v1.ControllerRevision"},
          {R"({"kind":"List","items":[{"kind":"Pod","metadata":{}}]})", "io.k8s.api.core.v1.List"}}) {
    std::string back = through_protobuf(json, name);
    if (name.ends_with("List")) {
      EXPECT_EQ(back, R"({"items":[{"kind":"Pod","metadata":{}}]})");
    } else {
      EXPECT_EQ(back, json);
    }
  }
}

TEST(Protobuf, AListMayBeSplicedFromItsItems) {
  Arena arena;
  auto list = parse_json(
      R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]})",
      arena);
  ASSERT_TRUE(list);
  const Type* pods = find_type("io.k8s.api.core.v1.PodList");
  const Type* pod = find_type("io.k8s.api.core.v1.Pod");
  Value head = list->clone(arena);
  head.erase("items");
  std::string message = *to_protobuf_message(head, *pods);
  for (const Value& item : items(list->get({"items"}))) {
    std::string one = *to_protobuf_message(item, *pod);
    message += protobuf_item_head(*pods, one.size()) + one;
  }
  auto envelope = protobuf_envelope("v1", "PodList", message.size());
  EXPECT_EQ(envelope.before + message + std::string(envelope.after), *to_protobuf(*list, *pods));
}

TEST(Protobuf, FramesAWatchEvent) {
  std::string event = watch_event_protobuf("ADDED", std::string_view("k8s\0x", 5));
  EXPECT_EQ(event, std::string_view("\x0a\x05"
                                    "ADDED"
                                    "\x12\x07\x0a\x05k8s\0x",
                                    16));
}

TEST(Protobuf, ReadsAnObjectInsideARawExtension) {
  Arena arena;
  std::string pod = bytes(kPodHex);
  std::string event = watch_event_protobuf("ADDED", pod);
  // WatchEvent's object is List's items by another number: wrap the same raw bytes as one item of a List.
  std::string raw = event.substr(event.find("k8s"));
  Arena other;
  auto list = parse_json(R"({"items":[{"a":1}]})", other);
  ASSERT_TRUE(list);
  std::string unknown("k8s\0\x0a\x0a\x0a\x02v1\x12\x04List\x12", 17);
  auto varint = [](size_t n) {
    std::string out;
    for (; n >= 0x80; n >>= 7) out += static_cast<char>(n | 0x80);
    return out + static_cast<char>(n);
  };
  std::string item = "\x0a" + varint(raw.size()) + raw;
  std::string body = "\x12" + varint(item.size()) + item;
  unknown += varint(body.size()) + body;
  auto value = parse_protobuf(unknown, arena, type_of);
  ASSERT_TRUE(value) << value.error().message();
  EXPECT_EQ(value->get({"items"}).at(0).get({"metadata", "name"}).as_string(), "web");
}

TEST(Protobuf, RefusesWhatIsCutShortOrUnknown) {
  Arena arena;
  std::string pod = bytes(kPodHex);
  for (size_t length = 0; length < pod.size(); ++length) {
    auto value = parse_protobuf(std::string_view(pod).substr(0, length), arena, type_of);
    if (value) {  // after the kind, or after the object: what follows may be missing
      EXPECT_TRUE(length == 15 || length == pod.size() - 4 || length == pod.size() - 2) << length;
    } else {
      EXPECT_EQ(value.error().code(), 400) << value.error().message();
    }
  }
  auto none = parse_protobuf(pod, arena, [](std::string_view, std::string_view) -> const Type* { return nullptr; });
  EXPECT_EQ(none.error().message(), "no kind \"Pod\" is registered for version \"v1\"");
  EXPECT_EQ(parse_protobuf("{}", arena, type_of).error().code(), 400);
  EXPECT_EQ(parse_protobuf(pod, arena, type_of, {.max_bytes = 10}).error().code(), 413);
}

TEST(Protobuf, StopsAtADepthThatNoObjectHas) {
  // A schema within "not" within "not" ...
  std::string message;
  for (int i = 0; i < 1000; ++i) {
    std::string length;
    size_t n = message.size();
    for (; n >= 0x80; n >>= 7) length += static_cast<char>(n | 0x80);
    length += static_cast<char>(n);
    message = "\xE2\x01" + length + message;
  }
  Arena arena;
  const Type& schema_type = type("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps");
  ASSERT_EQ(find_field(schema_type, "not")->tag, 28u);
  auto value = parse_protobuf_message(message, schema_type, arena);
  ASSERT_FALSE(value);
  EXPECT_NE(value.error().message().find("exceeded max depth"), std::string::npos);
}
