#include "podnetwork/wireguard.h"

#include <net/if.h>

#include "base/log.h"
#include "base/program.h"
#include "pki/certificate.h"

namespace redoubt::podnetwork {

namespace {

const char* family_flag(const std::string& address) {
  return address.find(':') == std::string::npos ? "-4" : "-6";
}

std::string host_part(const std::string& cidr) {
  return cidr.substr(0, cidr.find('/'));
}

Result<void> make_interface(const std::string& name) {
  auto kernel = run_program({"ip", "link", "add", "dev", name, "type", "wireguard"});
  if (kernel) return {};
  auto program = run_program({"wireguard-go", name});
  if (program) {
    log_info("WireGuard runs as wireguard-go: this kernel has none", {{"interface", name}});
    return {};
  }
  return service_unavailable(
      fmt::format("no WireGuard on this machine: the kernel says \"{}\", and {}; install wireguard-go (and "
                  "wireguard-tools), or choose another --pod-network",
                  kernel.error().message(), program.error().message()));
}

}  // namespace

bool interface_exists(const std::string& interface) {
  return ::if_nametoindex(interface.c_str()) != 0;
}

bool wireguard_in_place(const WireguardState& state) {
  if (!interface_exists(state.interface)) return false;
  for (const std::string& cidr : state.cluster_cidrs) {
    auto routes = run_program({"ip", family_flag(cidr), "route", "show", "exact", cidr, "dev", state.interface});
    if (!routes || routes->empty()) return false;
  }
  return true;
}

Result<void> apply_wireguard(const WireguardState& state, const std::string& config) {
  RD_TRYV(pki::write_file(state.config_file, config, 0600));
  if (!interface_exists(state.interface)) RD_TRYV(make_interface(state.interface));
  auto configured = run_program({"wg", "syncconf", state.interface, state.config_file});
  if (!configured && configured.error().is("ServiceUnavailable"))
    return service_unavailable(configured.error().message() + "; install wireguard-tools");
  RD_TRYV(configured);
  RD_TRYV(run_program({"ip", "link", "set", "dev", state.interface, "mtu", std::to_string(state.mtu), "up"}));
  for (const std::string& address : state.addresses)
    RD_TRYV(run_program({"ip", family_flag(address), "address", "replace", address, "dev", state.interface}));
  for (const std::string& cidr : state.cluster_cidrs) {
    std::vector<std::string> words{"ip", family_flag(cidr), "route", "replace", cidr, "dev", state.interface};
    for (const std::string& address : state.addresses) {
      if (std::string_view(family_flag(address)) == family_flag(cidr))
        words.insert(words.end(), {"src", host_part(address)});
    }
    RD_TRYV(run_program(words));
  }
  return {};
}

Result<void> remove_interface(const std::string& interface) {
  if (!interface_exists(interface)) return {};
  RD_TRYV(run_program({"ip", "link", "delete", "dev", interface}));
  return {};
}

}  // namespace redoubt::podnetwork
