// An EncryptionConfiguration of any bytes: no crash; what is taken has providers and keys of the right lengths.
#include <cstdlib>
#include <string_view>

#include "apiserver/encryption/config.h"

using namespace redoubt::apiserver::encryption;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto config = parse_config({reinterpret_cast<const char*>(data), size});
  if (!config) {
    if (config.error().message().empty()) std::abort();
    return 0;
  }
  if (config->resources.empty()) std::abort();
  for (const ResourceConfig& row : config->resources) {
    if (row.resources.empty() || row.providers.empty()) std::abort();
    for (const ProviderConfig& provider : row.providers) {
      for (const Key& key : provider.keys) {
        size_t n = key.secret.size();
        if (key.name.empty() || (n != 16 && n != 24 && n != 32)) std::abort();
        if (provider.kind == ProviderKind::Secretbox && n != 32) std::abort();
      }
    }
  }
  return 0;
}
