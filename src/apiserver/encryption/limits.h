// Limits of encryption at rest, each with its reason.
#pragma once
#include <chrono>
#include <cstddef>

namespace redoubt::apiserver::encryption {

// The configuration is a page of keys; more is a wrong file.
inline constexpr size_t kMaxConfigBytes = 1024 * 1024;
// Upstream's limits of what a KMS plug-in may have stored.
inline constexpr size_t kMaxKeyIdBytes = 1024;
inline constexpr size_t kMaxEncryptedDekBytes = 1024;
inline constexpr size_t kMaxAnnotationBytes = 32 * 1024;
// Seeds that were decrypted and are remembered; one for each time a server started or a key was changed.
inline constexpr size_t kMaxCachedSeeds = 4096;
// How long a seed may go on writing while its plug-in does not answer, upstream's: the worst case in which new data is
// still written with a key that was revoked.
inline constexpr std::chrono::minutes kSeedLife{3};
// How often a plug-in is asked for its status: well, and not.
inline constexpr std::chrono::seconds kProbeWhenHealthy{20};
inline constexpr std::chrono::seconds kProbeWhenNot{3};
// How long a start waits for a plug-in without which what is stored can't be read.
inline constexpr std::chrono::seconds kStartPatience{30};
// How often a configuration that is reloaded is looked at, and how long new plug-ins have to become healthy.
inline constexpr std::chrono::seconds kReloadEvery{5};
inline constexpr std::chrono::seconds kReloadPatience{10};

}  // namespace redoubt::apiserver::encryption
