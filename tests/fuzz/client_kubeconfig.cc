// A kubeconfig, or the one of cluster-info, of any bytes: no crash, and nothing without a server passes.
#include <cstdlib>
#include <string_view>

#include "client/client.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  // Files that it names would be read: not what is looked at here.
  if (text.find("certificate") != std::string_view::npos && text.find("-data") == std::string_view::npos) return 0;
  if (auto config = redoubt::client::parse_kubeconfig(text, "fuzz"); config && config->server.empty()) std::abort();
  auto cluster = redoubt::client::parse_kubeconfig_cluster(text);
  if (cluster && (cluster->server.empty() || cluster->ca_pem.empty())) std::abort();
  return 0;
}
