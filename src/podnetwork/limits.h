// Every bound of podnetwork/, with its reason.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace redoubt::podnetwork {

// WireGuard's usual port.
inline constexpr uint16_t kWireguardPort = 51820;
// What WireGuard adds to a packet: outer IPv6 and UDP headers, its own header and tag. VXLAN: outer IPv4, UDP, VXLAN
// and inner Ethernet headers.
inline constexpr int kWireguardOverhead = 40 + 8 + 32;
inline constexpr int kVxlanOverhead = 50;
// The least MTU that IPv6 allows: below it the underlay is broken.
inline constexpr int kLeastMtu = 1280;
inline constexpr int kUsualMtu = 1500;
// NATs forget silent UDP flows after 30 s and more (RFC 4787, REQ-5, says two minutes; many do it sooner).
inline constexpr std::chrono::seconds kKeepalive{25};
// Changes of Nodes are gathered this long, and what is installed is looked at this often.
inline constexpr std::chrono::milliseconds kGather{200};
inline constexpr std::chrono::seconds kCheckEvery{15};
inline constexpr std::chrono::seconds kRetry{3};
// Nodes of one cluster (Kubernetes' own limit is 5,000).
inline constexpr size_t kMaxPeers = 20'000;

}  // namespace redoubt::podnetwork
