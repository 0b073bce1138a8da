// Every bound of net/, with its reason.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace redoubt::net {

// One read from a socket: a full TLS record and then some.
inline constexpr size_t kReadBufferBytes = 32 * 1024;
// One read from a socket by a splice, handed on without a copy.
inline constexpr size_t kSocketReadBytes = 64 * 1024;
// TLS plaintext a record (RFC 8446, 5.1).
inline constexpr size_t kTlsRecordBytes = 16 * 1024;
// Ciphertext that may wait for the socket before a writer does.
inline constexpr size_t kTlsFlushBytes = 256 * 1024;
// Plain bytes that one turn of the HTTP/2 writer collects over all streams of a connection.
inline constexpr size_t kHttp2TurnBytes = 256 * 1024;
// Body pieces below this are copied together, larger ones handed on as they are; and the buffer for it, one a
// connection that is writing.
inline constexpr size_t kHttp2CopyBytes = 4 * 1024;
inline constexpr size_t kHttp2SmallBytes = 64 * 1024;
// One gRPC message, as grpc-go's default; messages below this are copied out of the piece they came in (so that a queue
// of small ones does not hold on to large pieces); and what is set aside when a long one begins.
inline constexpr size_t kGrpcMessageBytes = 4 << 20;
inline constexpr size_t kGrpcCopyBytes = 2 * 1024;
inline constexpr size_t kGrpcReserveBytes = 64 * 1024;
// What a peer may send on one stream before we read it, and on a connection.
inline constexpr int32_t kHttp2StreamWindow = 1 << 20;
inline constexpr int32_t kHttp2ConnectionWindow = 4 << 20;
// A connection that carries tunnels: what a peer may send on a stream that nobody reads; what the window of one that is
// read grows to, and what all grown windows of a connection together add. The connection's own window never holds a
// stream up: memory is bounded by what streams may have unread.
inline constexpr int32_t kTunnelStreamWindow = 64 * 1024;
inline constexpr int32_t kTunnelMaxStreamWindow = 4 << 20;
inline constexpr size_t kTunnelGrownBytes = 64 << 20;
inline constexpr int32_t kTunnelConnectionWindow = 64 << 20;
// What the kernel may hold unsent of such a connection: more would only be delay for whoever writes next.
inline constexpr int kTunnelUnsentBytes = 128 * 1024;
// A window grows to twice what is read of it in a round trip, or in this long where that is shorter.
inline constexpr std::chrono::microseconds kTunnelGrowTime{1000};
// A stream between two loops, a direction.
inline constexpr size_t kCrossLoopBytes = 128 * 1024;
// Body bytes a streaming writer may have queued before write() waits.
inline constexpr size_t kBodyQueueBytes = 64 * 1024;
// Unfinished streams that a peer may reset, or make us reset, at once, and how many a second beyond (CVE-2023-44487 and
// CVE-2025-8671): starting a request costs us more than the peer.
inline constexpr double kResetBurst = 500;
inline constexpr double kResetsPerSecond = 50;
// After an answer to a request whose body was not read: how long, and how much, is read and thrown away so that the
// client gets the answer and not a reset connection.
inline constexpr std::chrono::seconds kLingerTimeout{2};
inline constexpr size_t kLingerBytes = 16 << 20;
// A chunk-size line of HTTP/1.1 with its extensions.
inline constexpr size_t kMaxChunkLineBytes = 256;
// A ping whose answer takes longer is none: the connection is dropped (gRPC's keepalive timeout).
inline constexpr std::chrono::seconds kPingTimeout{20};
// Handshakes that take longer are somebody holding a connection open.
inline constexpr std::chrono::seconds kHandshakeTimeout{10};

// How long one key seals session tickets; it opens them for as long again. Short, so that a key that leaks opens
// little.
inline constexpr std::chrono::hours kTicketKeyLifetime{2};
// The client's intermediates that a session ticket carries; with more the session is not resumed.
inline constexpr size_t kMaxTicketChainBytes = 8 * 1024;

// SPDY/3.1, whose peers (kubectl, containerd) know no windows: unread bytes of one stream at which we stop reading the
// connection, bytes waiting to be sent at which writers wait, one data frame, a control frame, headers once
// decompressed, and the streams a peer may have open (a port-forward uses two a connection).
inline constexpr size_t kSpdyStreamBufferBytes = 256 * 1024;
inline constexpr size_t kSpdyOutBytes = 256 * 1024;
inline constexpr size_t kSpdyDataFrameBytes = 32 * 1024;
inline constexpr size_t kSpdyControlFrameBytes = 64 * 1024;
inline constexpr size_t kSpdyHeaderBytes = 64 * 1024;
inline constexpr size_t kSpdyMaxStreams = 1000;
// Pings and resets we owe a peer that doesn't read; more, and the connection is dropped.
inline constexpr size_t kSpdyMaxOwedFrames = 1000;

}  // namespace redoubt::net
