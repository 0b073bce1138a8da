#include "schema/openapi_protobuf.h"

#include <gtest/gtest.h>

#include <map>

#include "schema/codec.h"
#include "schema/openapi.h"

using namespace redoubt::schema;

namespace {

// The length-delimited fields of a message by number; fails the test on anything malformed.
std::multimap<uint32_t, std::string_view> fields_of(std::string_view wire) {
  std::multimap<uint32_t, std::string_view> out;
  auto varint = [&] {
    uint64_t n = 0;
    for (int shift = 0; !wire.empty(); shift += 7) {
      auto byte = static_cast<unsigned char>(wire.front());
      wire.remove_prefix(1);
      n |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return n;
  };
  while (!wire.empty()) {
    uint64_t key = varint();
    if ((key & 7) == 0) {
      varint();
      continue;
    }
    EXPECT_EQ(key & 7, 2U);
    uint64_t size = varint();
    if ((key & 7) != 2 || size > wire.size()) {
      ADD_FAILURE() << "field " << (key >> 3) << " is cut";
      return out;
    }
    out.emplace(static_cast<uint32_t>(key >> 3), wire.substr(0, size));
    wire.remove_prefix(size);
  }
  return out;
}

std::string_view one(const std::multimap<uint32_t, std::string_view>& fields, uint32_t tag) {
  auto it = fields.find(tag);
  EXPECT_NE(it, fields.end()) << "no field " << tag;
  return it == fields.end() ? std::string_view() : it->second;
}

TEST(OpenApiProtobuf, HoldsEveryPathAndDefinitionOfTheDocument) {
  std::vector<const Resource*> all;
  for (const Resource& r : builtin_resources()) all.push_back(&r);
  std::string json = openapi_v2(all);
  auto wire = openapi_v2_protobuf(json);
  ASSERT_TRUE(wire) << wire.error().message();
  Arena arena;
  auto document = parse_json(json, arena, {.max_bytes = SIZE_MAX});
  ASSERT_TRUE(document);

  auto top = fields_of(*wire);
  EXPECT_EQ(one(top, 1), "2.0");
  EXPECT_EQ(fields_of(one(top, 8)).count(2), document->get({"paths"}).size());
  auto definitions = fields_of(one(top, 9));
  EXPECT_EQ(definitions.count(1), document->get({"definitions"}).size());
  bool seen = false;
  for (auto [tag, named] : definitions) {
    auto pair = fields_of(named);
    if (one(pair, 1) != "io.k8s.api.core.v1.ConfigMap") continue;
    seen = true;
    auto schema = fields_of(one(pair, 2));
    EXPECT_EQ(one(fields_of(one(schema, 22)), 1), "object");
    EXPECT_EQ(fields_of(one(schema, 25)).count(1),
              document->get({"definitions", "io.k8s.api.core.v1.ConfigMap", "properties"}).size());
    // x-kubernetes-group-version-kind, which clients find a kind's schema by.
    EXPECT_EQ(one(fields_of(one(schema, 31)), 1), "x-kubernetes-group-version-kind");
  }
  EXPECT_TRUE(seen);
}

TEST(OpenApiProtobuf, RefusesAMemberThatHasNoPlace) {
  EXPECT_EQ(openapi_v2_protobuf(R"({"swagger":"2.0","surprise":1})").error().code(), 500);
}

}  // namespace
