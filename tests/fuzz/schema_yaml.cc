#include "schema_properties.h"

using namespace redoubt::schema;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  Arena arena;
  DecodeWarnings warnings;
  auto value = parse_yaml(text, arena, {}, &warnings);
  if (!value) return 0;
  std::string written = to_yaml(*value);
  auto again = parse_yaml(written, arena, {.max_bytes = SIZE_MAX});
  require(again && again->equals(*value));
  require(to_yaml(*again) == written);
  return 0;
}
