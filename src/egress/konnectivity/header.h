// The metadata of Konnectivity's gRPC calls, and what an agent says about the addresses it can reach.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "net/http.h"

namespace redoubt::konnectivity {

inline constexpr const char* kProxyMethod = "/ProxyService/Proxy";
inline constexpr const char* kConnectMethod = "/AgentService/Connect";

// Upstream's keys, in the lower case of HTTP/2.
inline constexpr const char* kServerCount = "servercount";
inline constexpr const char* kServerId = "serverid";
inline constexpr const char* kAgentId = "agentid";
inline constexpr const char* kAgentIdentifiers = "agentidentifiers";
inline constexpr const char* kAuthorization = "authorization";
// Ours. An agent and a proxy server that both send it give each other so many bytes a connection (packet.h: Window),
// and end directions alone (End). Between an API server and a proxy server, whose every connection is an HTTP/2 stream
// of its own, it means End only.
inline constexpr const char* kWindow = "redoubt-window";

// A decimal number of at most 2^31 in a header; 0 when there is none.
uint64_t number_header(const net::Headers& headers, std::string_view name);

// What an agent can reach, from the URL-encoded text of agentIdentifiers: "ipv4=10.0.0.7&host=node-1&cidr=10.1.0.0/24".
struct Identifiers {
  std::vector<std::string> ipv4;
  std::vector<std::string> ipv6;
  std::vector<std::string> host;
  std::vector<std::string> cidr;
  bool default_route = false;
  size_t count() const { return ipv4.size() + ipv6.size() + host.size() + cidr.size(); }
};
// Types that are not known are passed over, as upstream does for newer agents; `strict` (an agent's own flag) refuses
// them.
Result<Identifiers> parse_identifiers(std::string_view text, bool strict = false);

// A network, for identifiers and for what an agent may dial.
class Network {
 public:
  // "10.1.0.0/24", "fd00::/8", or one address.
  static Result<Network> parse(std::string_view text);
  // `address` is an IP literal; anything else is in no network.
  bool contains(std::string_view address) const;
  int prefix_length() const { return bits_; }

 private:
  unsigned char bytes_[16] = {};  // IPv4 mapped into IPv6
  int bits_ = 0;                  // of 128
};

// The host of "host:port" and "[v6]:port".
std::string host_of(std::string_view address);

}  // namespace redoubt::konnectivity
