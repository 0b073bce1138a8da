// Any bytes as a resolved policy: no crash, and what passes is written and read again as itself.
#include <cstdlib>
#include <string_view>

#include "networkpolicy/resolved.h"
#include "networkpolicy/rules.h"

using namespace redoubt::networkpolicy;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto policy = parse_policy(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!policy) return 0;
  std::string json = to_json(*policy);
  auto again = parse_policy(json);
  if (!again || to_json(*again) != json) std::abort();
  // Nothing of it ends a comment, a rule or the table: as many quotes and braces as we wrote.
  std::string script = table_script({*policy}, {"0.0.0.0/0", "::/0"});
  long depth = 0, quotes = 0;
  for (char c : script) {
    depth += c == '{' ? 1 : c == '}' ? -1 : 0;
    quotes += c == '"' ? 1 : 0;
    if (depth < 0) std::abort();
  }
  if (depth != 0 || quotes % 2 != 0) std::abort();
  return 0;
}
