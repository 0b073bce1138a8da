#include "schema_properties.h"

using namespace redoubt::schema;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const Type& type = fuzzed_type(data[0]);
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  Arena arena;
  auto any_type = [](std::string_view, std::string_view kind) -> const Type* {
    return &fuzzed_type(static_cast<uint8_t>(kind.size()));
  };
  auto object = parse_protobuf(bytes, arena, any_type);
  if (object) (void)to_json(*object, nullptr);
  auto value = parse_protobuf_message(bytes, type, arena);
  if (value && conform(*value, type, arena)) check_conformed(*value, type);
  return 0;
}
