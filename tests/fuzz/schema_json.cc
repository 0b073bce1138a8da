#include "schema/k8s/apiextensions_v1.h"
#include "schema/k8s/core_v1.h"
#include "schema/typed.h"
#include "schema_properties.h"

using namespace redoubt::schema;

namespace {

// What conforms fits the structs, and what they write reads back as equal structs.
template <class T>
void check_typed(const Value& value) {
  auto object = from_value<T>(value);
  require(object.has_value());
  Arena arena;
  std::string json = to_json(*object);
  auto tree = parse_json(json, arena, {.max_bytes = SIZE_MAX});
  require(tree.has_value());
  auto again = from_value<T>(*tree);
  require(again && equal(*object, *again) && to_json(*again) == json);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const Type& type = fuzzed_type(data[0]);
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  Arena arena;
  DecodeWarnings warnings;
  auto value = parse_json(text, arena, {}, &warnings);
  if (!value) return 0;
  std::string written = to_json(*value, nullptr);
  auto again = parse_json(written, arena, {.max_bytes = SIZE_MAX});
  require(again && again->equals(*value) && to_json(*again, nullptr) == written);
  if (!conform(*value, type, arena, &warnings)) return 0;
  check_conformed(*value, type);
  if (type.name.ends_with(".Pod")) check_typed<k8s::core::v1::Pod>(*value);
  if (type.name.ends_with(".CustomResourceDefinition")) {
    check_typed<k8s::apiextensions::v1::CustomResourceDefinition>(*value);
  }
  return 0;
}
