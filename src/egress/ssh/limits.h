// Every bound of egress/ssh, with its reason.
#pragma once
#include <chrono>
#include <cstddef>

namespace redoubt::egress::ssh {

// A public key as text, and how many one host is taken to have: OpenSSH makes three; an annotation is anybody's text.
inline constexpr size_t kMaxKeyText = 16 * 1024;
inline constexpr size_t kMaxHostKeys = 16;
// A key file, and a known-hosts file of some 100,000 hosts.
inline constexpr size_t kMaxFileBytes = 64 << 20;
// One write into a channel: then it is the other channels' turn, and what libssh keeps for the socket stays about this.
// A packet is 32 KB at most.
inline constexpr size_t kWriteTurn = 32 * 1024;
// What the kernel may hold unsent: more would only be delay for whoever writes next.
inline constexpr int kUnsentBytes = 128 * 1024;
// Packets that are taken in before other tasks of the loop get a turn; libssh reads 4 KB at a time.
inline constexpr int kReadTurns = 64;
// How often a writer that can't go on looks whether an exchange of keys is over.
inline constexpr std::chrono::milliseconds kRekeyCheck{100};
// Channels that may be open at once over one connection; sshd's own limit is 10,000.
inline constexpr size_t kMaxChannels = 8'000;

// How often a connection is asked whether it lives, and how long the answer may take.
inline constexpr std::chrono::seconds kPingInterval{5};
inline constexpr std::chrono::seconds kPingTimeout{10};
// TCP connection, key exchange and authentication together.
inline constexpr std::chrono::seconds kConnectTimeout{10};
// A connection nobody dialled by for so long, and with no stream, ends.
inline constexpr std::chrono::minutes kIdle{10};
inline constexpr std::chrono::seconds kIdleCheck{5};
// After a failed attempt: the first wait, and the longest. A dial within kRetryAtOnce of a failure gets its error.
inline constexpr std::chrono::milliseconds kFirstRetry{500};
inline constexpr std::chrono::milliseconds kLastRetry{30'000};
inline constexpr std::chrono::milliseconds kRetryAtOnce{1'000};

}  // namespace redoubt::egress::ssh
