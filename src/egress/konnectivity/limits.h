// Every bound of konnectivity/, with its reason.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace redoubt::konnectivity {

// Payload of one DATA packet: as much as upstream's frontend reads at once, and small enough that a waiting
// connection's turn comes soon.
inline constexpr size_t kPacketDataBytes = 32 * 1024;
// What an address and an error text may be long; a packet itself is bounded by gRPC's message limit.
inline constexpr size_t kMaxAddressBytes = 512;
inline constexpr size_t kMaxErrorBytes = 1024;
// Bytes of one connection that wait to be sent over the tunnel before its writer waits.
inline constexpr size_t kSendQueueBytes = 128 * 1024;
// What one connection's reader may leave unread, where both ends speak our window extension: the sender stops there.
inline constexpr size_t kReceiveWindowBytes = 1 << 20;
// The same where the peer is upstream's, whose protocol has no window. Beyond this the tunnel is held up for a moment,
// in which the reader must take so much (1 MB/s), or its connection is closed: an ordinary download is never broken,
// and one that stands still costs the others that moment once.
inline constexpr size_t kReceiveBudgetBytes = 16 << 20;
inline constexpr size_t kHoldBytes = 256 * 1024;
inline constexpr std::chrono::milliseconds kHoldTime{250};
// All unread bytes of a tunnel together; the connection that would go over is closed.
inline constexpr size_t kTunnelBudgetBytes = 256 << 20;
// What a queued piece costs besides its bytes: a peer that sends single bytes must not get more memory for them.
inline constexpr size_t kPieceOverheadBytes = 64;
// The HTTP/2 windows of a tunnel whose connections have windows of their own: it is never stopped for one of them, so
// that only the round trip counts (16 MiB at 200 ms are 80 MB/s).
inline constexpr int32_t kTunnelWindowBytes = 16 << 20;
// Packets about connections that wait for a peer which does not read; beyond, the tunnel is dropped.
inline constexpr size_t kMaxControlPackets = 10'000;
// Connections of one tunnel, and dials it has under way at once; more are refused.
inline constexpr size_t kMaxConnections = 20'000;
inline constexpr size_t kMaxPendingDials = 2'000;
// Closed connections that are remembered until the peer confirms, so that what it still sends is dropped in silence.
inline constexpr size_t kMaxTombstones = 1'024;
// Agents connected at once, and identifiers one may name.
inline constexpr size_t kMaxAgents = 20'000;
inline constexpr size_t kMaxIdentifiers = 256;

// A dial at the agent (upstream's), and until the frontend hears of it (upstream: for ever; its client gives up at 30
// s).
inline constexpr std::chrono::seconds kAgentDialTimeout{5};
inline constexpr std::chrono::seconds kBackendDialTimeout{30};
// Upstream's protocol ends both directions of a connection at once. After our side ended its own, this long a silence
// of the peer ends the connection.
inline constexpr std::chrono::seconds kHalfCloseLinger{10};
// What a closed client may still send is thrown away for so long, that it gets what was sent to it.
inline constexpr std::chrono::seconds kCloseLinger{2};
// Silence of the tunnel that is asked about where both ends are ours; upstream's servers end the connections of agents
// that ask more often than every 30 s.
inline constexpr std::chrono::seconds kTunnelPingInterval{5};
// A proxy server that does not answer the agent's call.
inline constexpr std::chrono::seconds kConnectTimeout{10};

}  // namespace redoubt::konnectivity
