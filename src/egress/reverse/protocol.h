// What both ends of a reverse tunnel agree on.
//
// The agent sends, on the API server's secure port and with its node certificate,
//   POST /api/v1/nodes/NAME/tunnel     Connection: Upgrade     Upgrade: redoubt-tunnel
// and from the 101 on the connection is HTTP/2 turned round: the server is its client, the agent its server. A dial is
// a CONNECT whose :authority is "NAME:PORT" for the node's own kubelet, else "ADDRESS:PORT"; anything but 200 carries
// why in a header.
#pragma once
#include <string>
#include <string_view>

namespace redoubt::egress::reverse {

inline constexpr std::string_view kUpgradeToken = "redoubt-tunnel";
// Of the 101: which server process answered, so that an agent that reaches one by two addresses keeps one tunnel.
inline constexpr std::string_view kServerHeader = "redoubt-server";
// Of the agent's request: the servers that it has a tunnel to. One of them answers 409.
inline constexpr std::string_view kHaveHeader = "redoubt-have";
// Of a CONNECT: the path's id, for the agent's log; of its refusal: what happened, as a user reads it.
inline constexpr std::string_view kPathHeader = "redoubt-path";
inline constexpr std::string_view kErrorHeader = "redoubt-error";

// What a stranger sent, fit for a log or an error: cut, and without control characters.
inline std::string printable(std::string_view text) {
  std::string out(text.substr(0, 300));
  for (char& c : out) c = c < ' ' || c > '~' ? '?' : c;
  return out;
}

}  // namespace redoubt::egress::reverse
