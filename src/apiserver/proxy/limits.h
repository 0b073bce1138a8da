// Every bound of apiserver/proxy, with its reason.
#pragma once
#include <chrono>
#include <cstddef>

namespace redoubt::apiserver {

// Clients kept a loop: a connection each, mostly; more backends than that are rarely asked within the same minutes.
inline constexpr size_t kMaxClientsPerLoop = 256;
inline constexpr std::chrono::seconds kIdleClient{120};
// Endpoints of a Service that are tried before the last refusal is the answer.
inline constexpr size_t kMaxEndpointTries = 5;
// Until a backend's headers are there. A slow report takes its time, but not for ever.
inline constexpr std::chrono::milliseconds kBackendHeaderTimeout{120'000};
// A refused upgrade's answer, which is read whole before the client gets it.
inline constexpr size_t kMaxRefusalBytes = 64 * 1024;
// An upgraded connection of which one direction has ended: how long the other may go on. What the ended one had to say
// has been delivered by then; a client that went away without a word must not hold a session for long (upstream ends
// both directions at once).
inline constexpr std::chrono::seconds kHalfClosed{10};
// An authority or key from a ConfigMap or Secret.
inline constexpr size_t kMaxTrustBytes = 512 * 1024;

}  // namespace redoubt::apiserver
