// Every bound of dns/, with its reason.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace redoubt::dns {

// A UDP answer to a client without EDNS (RFC 1035), and the most to any client: fits an Ethernet frame without
// fragments (DNS flag day 2020).
inline constexpr size_t kPlainUdpBytes = 512;
inline constexpr size_t kMaxUdpBytes = 1232;
// A message over TCP: what its length field can say.
inline constexpr size_t kMaxTcpBytes = 65535;
// A query longer than this is nobody's question: name, EDNS with cookie and padding come to far less.
inline constexpr size_t kMaxQueryBytes = 4096;
// Datagrams taken from the socket in one turn, so that other tasks of the loop get theirs.
inline constexpr size_t kUdpBatch = 64;

// TCP connections at once, in all and from one address, and how long one may be silent (RFC 7766, 6.2.3).
inline constexpr size_t kMaxTcpConnections = 256;
inline constexpr size_t kMaxTcpConnectionsOfOne = 32;
inline constexpr std::chrono::seconds kTcpIdle{10};

// Queries that wait for an upstream resolver, in all and from one address: one pod can't use up the others' share.
// Each holds a socket.
inline constexpr size_t kMaxForwards = 1000;
inline constexpr size_t kMaxForwardsOfOne = 200;
// How long one upstream resolver is waited for, and all of them together: a client's own patience is five seconds
// (resolv.conf's timeout).
inline constexpr std::chrono::milliseconds kUpstreamTimeout{1500};
inline constexpr std::chrono::milliseconds kForwardTimeout{4500};
// After a failure a resolver is asked last for this long.
inline constexpr std::chrono::seconds kUpstreamPause{10};
inline constexpr size_t kMaxUpstreams = 8;

// Answers kept from upstream. Their own TTL decides how long, within these; and how long an answer that has expired may
// still be given while no resolver answers, and with which TTL (RFC 8767).
inline constexpr size_t kCacheBytes = 4 << 20;
inline constexpr size_t kCachedAnswerBytes = 8 * 1024;
inline constexpr std::chrono::seconds kMaxPositiveTtl{3600};
inline constexpr std::chrono::seconds kMaxNegativeTtl{300};
inline constexpr std::chrono::hours kStaleFor{1};
inline constexpr uint32_t kStaleTtl = 30;

// TTL of the cluster's own records: the server is on the client's node, so asking again is cheap, and a Service's move
// is seen soon. CoreDNS' default.
inline constexpr uint32_t kClusterTtl = 5;
// CNAMEs followed for one question (ExternalName to ExternalName).
inline constexpr size_t kMaxChase = 8;
// Records in one answer. A headless Service may have 5,000 endpoints; over TCP this many fit.
inline constexpr size_t kMaxAnswerRecords = 2000;

}  // namespace redoubt::dns
