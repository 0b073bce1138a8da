// Any bytes as a Service and an EndpointSlice (two JSON documents with a zero byte between): no crash, and whatever
// their fields hold, the rules made of them are rules of ours and nothing else.
#include <cstdlib>
#include <string_view>

#include "kubeproxy/rules.h"
#include "schema/typed.h"

using namespace redoubt;
using namespace redoubt::kubeproxy;

namespace {

// Names, addresses, numbers and the words and signs of our own rules: nothing that ends a line's command and begins
// another, nothing quoted.
void check(std::string_view script) {
  long depth = 0;
  bool start = true;
  for (size_t i = 0; i < script.size(); ++i) {
    char c = script[i];
    if (start) {
      std::string_view line = script.substr(i, script.find('\n', i) - i);
      bool ours = false;
      for (std::string_view command : {"add ", "flush ", "delete "}) ours = ours || line.starts_with(command);
      if (!ours || line.find(kTable) == std::string_view::npos) std::abort();
    }
    start = c == '\n';
    if (start && depth != 0) std::abort();
    depth += c == '{' ? 1 : c == '}' ? -1 : 0;
    bool fine = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                std::string_view(" \n-_/.:,;@{}[]!=|").find(c) != std::string_view::npos;
    if (!fine || depth < 0) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  size_t cut = text.find('\0');
  auto service = schema::from_json<k8s::core::v1::Service>(text.substr(0, cut));
  if (!service) return 0;
  std::vector<const k8s::discovery::v1::EndpointSlice*> slices;
  auto slice = schema::from_json<k8s::discovery::v1::EndpointSlice>(
      cut == std::string_view::npos ? std::string_view("{}") : text.substr(cut + 1));
  if (slice) slices.push_back(&*slice);
  auto ports = service_ports(*service, slices, {"n1", "a"});
  for (Family family : {Family::IPv4, Family::IPv6}) {
    Fragment made = render(ports, family, {.cluster_cidrs = {"10.244.0.0/16"}, .node_port_addresses = {"192.0.2.7"}});
    Transaction install(family), remove(family);
    install.change({}, made);
    remove.change(made, {});
    check(install.script());
    check(remove.script());
  }
  return 0;
}
