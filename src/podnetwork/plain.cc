#include "podnetwork/plain.h"

#include <fmt/format.h>
#include <net/if.h>

#include <boost/asio/ip/network_v4.hpp>

#include "base/program.h"
#include "pki/certificate.h"

namespace redoubt::podnetwork {

namespace ip = boost::asio::ip;

namespace {

// Flannel's port and number: administrators know them.
constexpr int kVxlanPort = 8472, kVxlanNumber = 1;

std::optional<ip::network_v4> v4(const std::string& cidr) {
  boost::system::error_code error;
  auto out = ip::make_network_v4(cidr, error);
  if (error) return std::nullopt;
  return out;
}

// "route replace X ..." -> "route delete X", "neigh replace X ... dev D" -> "neigh delete X dev D"
std::string undo(const std::string& command) {
  size_t verb = command.find(" replace ");
  size_t target = verb + sizeof " replace " - 1, end = command.find(' ', target);
  std::string out = command.substr(0, verb) + " delete " + command.substr(target, end - target);
  if (command.starts_with("route")) return out;
  size_t device = command.find(" dev ");
  if (command.starts_with("fdb")) return out + command.substr(end);
  return out + command.substr(device, command.find(' ', device + 5) - device);
}

Result<void> batch(const char* program, const std::string& lines, const std::string& file, bool force) {
  if (lines.empty()) return {};
  RD_TRYV(pki::write_file(file, lines, 0600));
  std::vector<std::string> words{program};
  if (force) words.emplace_back("-force");
  words.insert(words.end(), {"-batch", file});
  auto done = run_program(words);
  // Taking away what is gone already is no failure.
  if (!done && !force) return Error(done.error());
  return {};
}

}  // namespace

std::string vxlan_mac(const std::string& pod_cidr) {
  auto network = v4(pod_cidr);
  auto bytes = network ? network->address().to_bytes() : ip::address_v4::bytes_type{};
  // Locally administered.
  return fmt::format("0a:58:{:02x}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2], bytes[3]);
}

PlainCommands vxlan_commands(const Plan& plan, const std::string& interface) {
  PlainCommands out;
  for (const Peer& peer : plan.peers) {
    for (const std::string& cidr : peer.pod_cidrs) {
      auto network = v4(cidr);
      if (!network || peer.address.empty()) continue;
      std::string gateway = network->address().to_string(), mac = vxlan_mac(cidr);
      out.ip.insert(fmt::format("neigh replace {} lladdr {} dev {} nud permanent", gateway, mac, interface));
      out.ip.insert(fmt::format("route replace {} via {} dev {} onlink", cidr, gateway, interface));
      out.bridge.insert(fmt::format("fdb replace {} dev {} dst {}", mac, interface, peer.address));
    }
  }
  return out;
}

PlainCommands route_commands(const Plan& plan) {
  PlainCommands out;
  for (const Peer& peer : plan.peers) {
    for (const std::string& cidr : peer.pod_cidrs) {
      if (v4(cidr) && !peer.address.empty()) out.ip.insert(fmt::format("route replace {} via {}", cidr, peer.address));
    }
  }
  return out;
}

Result<void> ensure_vxlan(const std::string& interface, const Plan& plan, const std::string& node_ip, int mtu) {
  std::string cidr;
  for (const std::string& own : plan.own_cidrs) {
    if (v4(own)) cidr = own;
  }
  if (cidr.empty()) return service_unavailable("VXLAN needs an IPv4 podCIDR");
  if (::if_nametoindex(interface.c_str()) == 0) {
    RD_TRYV(run_program({"ip", "link", "add", "dev", interface, "address", vxlan_mac(cidr), "type", "vxlan", "id",
                         std::to_string(kVxlanNumber), "local", node_ip, "dstport", std::to_string(kVxlanPort),
                         "nolearning"}));
  }
  RD_TRYV(run_program({"ip", "link", "set", "dev", interface, "mtu", std::to_string(mtu), "up"}));
  RD_TRYV(run_program({"ip", "address", "replace", v4(cidr)->address().to_string() + "/32", "dev", interface}));
  return {};
}

Result<void> apply_plain(const PlainCommands& before, const PlainCommands& now, const std::string& folder) {
  auto lines = [](const std::set<std::string>& from, const std::set<std::string>& without, bool removing) {
    std::string out;
    for (const std::string& command : from) {
      if (removing && without.contains(command)) continue;
      out += (removing ? undo(command) : command) + "\n";
    }
    return out;
  };
  RD_TRYV(batch("ip", lines(before.ip, now.ip, true), folder + "/ip.batch", true));
  RD_TRYV(batch("bridge", lines(before.bridge, now.bridge, true), folder + "/bridge.batch", true));
  RD_TRYV(batch("bridge", lines(now.bridge, {}, false), folder + "/bridge.batch", false));
  // Routes of VXLAN need their neighbours: "neigh" sorts before "route".
  return batch("ip", lines(now.ip, {}, false), folder + "/ip.batch", false);
}

}  // namespace redoubt::podnetwork
