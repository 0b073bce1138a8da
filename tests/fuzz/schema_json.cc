#include "schema_properties.h"

using namespace redoubt::schema;

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
  if (conform(*value, type, arena, &warnings)) check_conformed(*value, type);
  return 0;
}
