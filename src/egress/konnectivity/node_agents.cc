#include "egress/konnectivity/node_agents.h"

#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

namespace redoubt::konnectivity {

namespace {

namespace ip = boost::asio::ip;

Error refused(const std::string& who, std::string_view what, std::string_view value) {
  return Error(
      Status(403, "Forbidden", fmt::format("agent of {} may not serve as {} \"{}\"", who, what, value.substr(0, 200))));
}

// First and last address of a network; nothing when it is none.
std::optional<std::pair<std::string, std::string>> ends_of(const std::string& cidr) {
  boost::system::error_code error;
  auto v4 = ip::make_network_v4(cidr, error);
  if (!error) return std::pair(v4.network().to_string(), v4.broadcast().to_string());
  auto v6 = ip::make_network_v6(cidr, error);
  if (error) return std::nullopt;
  ip::address_v6::bytes_type bytes = v6.network().to_bytes();
  for (int bit = v6.prefix_length(); bit < 128; ++bit)
    bytes[static_cast<size_t>(bit / 8)] |= static_cast<unsigned char>(0x80 >> bit % 8);
  return std::pair(v6.network().to_string(), ip::address_v6(bytes).to_string());
}

}  // namespace

Result<void> check_node_agent(const std::string& node, const std::string& agent_id, const Identifiers& identifiers,
                              const AddressesOf& addresses) {
  auto another = [&](const std::string& name) { return name != node && addresses(name).has_value(); };
  std::string who = node.empty() ? "no node" : fmt::format("node \"{}\"", node);
  if (another(agent_id)) return refused(who, "agent", agent_id);
  for (const std::string& host : identifiers.host) {
    if (node.empty() ? another(host) : host != node) return refused(who, "host", host);
  }
  if (node.empty()) return {};
  if (identifiers.default_route) return refused(who, "default-route", "true");
  RD_TRY(auto allowed, addresses(node));
  for (const auto* list : {&identifiers.ipv4, &identifiers.ipv6}) {
    for (const std::string& address : *list) {
      if (!allowed.check(address)) return refused(who, "address", address);
    }
  }
  for (const std::string& cidr : identifiers.cidr) {
    auto ends = ends_of(cidr);
    if (!ends || !allowed.check(ends->first) || !allowed.check(ends->second)) return refused(who, "network", cidr);
  }
  return {};
}

}  // namespace redoubt::konnectivity
