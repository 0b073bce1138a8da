#include "podnetwork/plan.h"

#include <fmt/format.h>

#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

#include "net/tcp.h"
#include "podnetwork/keys.h"
#include "podnetwork/limits.h"

namespace redoubt::podnetwork {

namespace core = k8s::core::v1;
namespace ip = boost::asio::ip;

namespace {

// A network as bits; IPv4 as the mapped part of IPv6.
struct Bits {
  std::array<unsigned char, 16> bytes{};
  unsigned length = 0;
  bool holds(const Bits& other) const {
    if (other.length < length) return false;
    for (unsigned i = 0; i < length; ++i) {
      if (((bytes[i / 8] ^ other.bytes[i / 8]) >> (7 - i % 8) & 1) != 0) return false;
    }
    return true;
  }
  bool overlaps(const Bits& other) const { return holds(other) || other.holds(*this); }
};

std::optional<Bits> network(const std::string& text) {
  boost::system::error_code error;
  Bits out;
  if (text.find(':') == std::string::npos) {
    auto net = ip::make_network_v4(text, error);
    if (error || net.canonical() != net) return std::nullopt;
    out.bytes = ip::make_address_v6(ip::v4_mapped, net.address()).to_bytes();
    out.length = 96U + net.prefix_length();
    return out;
  }
  auto net = ip::make_network_v6(text, error);
  if (error || net.canonical() != net) return std::nullopt;
  out.bytes = net.address().to_bytes();
  out.length = net.prefix_length();
  return out;
}

std::string annotation(const core::Node& node, const char* name) {
  auto it = node.metadata.annotations.find(name);
  return it == node.metadata.annotations.end() ? "" : it->second;
}

std::string internal_address(const core::Node& node) {
  for (const auto& address : node.status.addresses) {
    boost::system::error_code error;
    ip::make_address(address.address, error);
    if (address.type == "InternalIP" && !error) return address.address;
  }
  return "";
}

std::vector<std::string> cidrs_of(const core::Node& node) {
  if (node.spec.podCIDRs.empty() && !node.spec.podCIDR.empty()) return {node.spec.podCIDR};
  return node.spec.podCIDRs;
}

std::string endpoint_of(const core::Node& node, const std::string& address) {
  std::string text = annotation(node, kEndpointAnnotation);
  if (text == "nat") return "";
  if (auto parsed = net::parse_address(text)) {
    boost::system::error_code error;
    ip::make_address(parsed->host, error);
    // Addresses only: names would be looked up by root, on behalf of another node.
    if (!error && parsed->port != 0) return parsed->to_string();
  }
  return address.empty() ? "" : net::Address{address, kWireguardPort}.to_string();
}

}  // namespace

Plan make_plan(const std::vector<const core::Node*>& nodes, const std::string& own,
               const std::vector<std::string>& cluster_cidrs) {
  std::vector<Bits> cluster;
  for (const std::string& cidr : cluster_cidrs) {
    if (auto bits = network(cidr)) cluster.push_back(*bits);
  }
  std::vector<const core::Node*> sorted = nodes;
  // This node first: nobody takes what is its own; then the older ones.
  std::ranges::sort(sorted, [&](const core::Node* a, const core::Node* b) {
    bool a_own = a->metadata.name == own, b_own = b->metadata.name == own;
    if (a_own != b_own) return a_own;
    return std::tie(a->metadata.creationTimestamp, a->metadata.name) <
           std::tie(b->metadata.creationTimestamp, b->metadata.name);
  });
  Plan out;
  std::vector<Bits> taken;
  std::set<std::string> keys;
  for (const core::Node* node : sorted) {
    const std::string& name = node->metadata.name;
    std::vector<std::string> cidrs;
    for (const std::string& cidr : cidrs_of(*node)) {
      auto bits = network(cidr);
      if (!bits) {
        out.left_out.push_back(fmt::format("{}: podCIDR {} is no network", name, cidr));
      } else if (std::ranges::none_of(cluster, [&](const Bits& c) { return c.holds(*bits); })) {
        out.left_out.push_back(fmt::format("{}: podCIDR {} is outside the cluster's", name, cidr));
      } else if (std::ranges::any_of(taken, [&](const Bits& t) { return t.overlaps(*bits); })) {
        out.left_out.push_back(fmt::format("{}: podCIDR {} is another node's too", name, cidr));
      } else {
        taken.push_back(*bits);
        cidrs.push_back(cidr);
      }
    }
    if (name == own) {
      out.own_cidrs = cidrs;
      keys.insert(annotation(*node, kKeyAnnotation));
      continue;
    }
    if (cidrs.empty() || out.peers.size() >= kMaxPeers) continue;
    Peer peer{.node = name, .address = internal_address(*node), .pod_cidrs = cidrs, .public_key = "", .endpoint = ""};
    peer.public_key = annotation(*node, kKeyAnnotation);
    if (!peer.public_key.empty() && !is_key(peer.public_key)) {
      out.left_out.push_back(fmt::format("{}: {} is no WireGuard key", name, kKeyAnnotation));
      peer.public_key.clear();
    } else if (!peer.public_key.empty() && !keys.insert(peer.public_key).second) {
      // WireGuard knows a peer by its key only.
      out.left_out.push_back(fmt::format("{}: its WireGuard key is another node's", name));
      peer.public_key.clear();
    }
    peer.endpoint = endpoint_of(*node, peer.address);
    out.peers.push_back(std::move(peer));
  }
  return out;
}

std::string wireguard_config(const Plan& plan, const std::string& private_key, uint16_t port,
                             std::chrono::seconds keepalive) {
  std::string out = fmt::format("[Interface]\nPrivateKey = {}\nListenPort = {}\n", private_key, port);
  for (const Peer& peer : plan.peers) {
    if (peer.public_key.empty()) continue;
    std::string allowed;
    for (const std::string& cidr : peer.pod_cidrs) allowed += (allowed.empty() ? "" : ", ") + cidr;
    out += fmt::format("\n[Peer]\nPublicKey = {}\nAllowedIPs = {}\n", peer.public_key, allowed);
    if (!peer.endpoint.empty()) out += fmt::format("Endpoint = {}\n", peer.endpoint);
    if (keepalive.count() > 0) out += fmt::format("PersistentKeepalive = {}\n", keepalive.count());
  }
  return out;
}

bool likely_behind_nat(const std::string& node_ip, const std::string& server_host) {
  auto is_private = [](const std::string& text) -> std::optional<bool> {
    boost::system::error_code error;
    auto address = ip::make_address(text, error);
    if (error) return std::nullopt;
    // RFC 1918, RFC 6598, RFC 4193, and what never leaves a link or a machine.
    for (const char* cidr : {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
                             "127.0.0.0/8", "fc00::/7", "fe80::/10", "::1/128"}) {
      auto net = network(cidr);
      auto host = network(text + (address.is_v6() ? "/128" : "/32"));
      if (net && host && net->holds(*host)) return true;
    }
    return false;
  };
  auto node = is_private(node_ip), server = is_private(server_host);
  return node && server && *node && !*server;
}

}  // namespace redoubt::podnetwork
