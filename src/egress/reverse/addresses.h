// What a node's tunnel may carry: traffic to its kubelet, to its own addresses, to its pods. Both ends check it, each
// by what it knows itself.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "net/tcp.h"

namespace redoubt::egress::reverse {

class NodeAddresses {
 public:
  // IP addresses of the node, and the networks of its pods. What doesn't parse is left out; so are loopback,
  // link-local, unspecified and multicast addresses, and a network that holds such.
  NodeAddresses(std::string node, const std::vector<std::string>& addresses, const std::vector<std::string>& pod_cidrs);
  NodeAddresses() = default;

  const std::string& node() const { return node_; }
  // Forbidden, naming node and address, unless `host` is an IP literal among them. Names are nobody's: they are
  // resolved before.
  Result<void> check(std::string_view host) const;
  // True for an address of the node itself, not of a pod.
  bool of_node(std::string_view host) const;
  bool operator==(const NodeAddresses&) const = default;

 private:
  struct Network {
    bool v6 = false;
    unsigned char bytes[16] = {};
    int bits = 0;
    bool operator==(const Network&) const = default;
  };
  std::string node_;
  bool holds(std::string_view host, size_t first) const;
  size_t own_ = 0;  // so many of networks_ are the node's own addresses; the rest are its pods'
  std::vector<Network> networks_;
};

}  // namespace redoubt::egress::reverse
