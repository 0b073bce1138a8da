// Replacing an authority, or the key that signs ServiceAccount tokens, while the cluster runs, in phases of files.
//
//   begin    NAME-next is made; everything trusts it beside NAME, which still signs
//   advance  NAME-next becomes NAME and signs; the old one stays trusted as NAME-previous
//   finish   NAME-previous is forgotten
//   cancel   NAME-next is thrown away (only before `advance`)
//
// A running server sees the change and applies it; between the phases its clients have the time to learn. A crash in
// the middle of `advance` is completed by the next look (complete_switch). Blocking; each takes the folder's lock.
#pragma once
#include <chrono>
#include <string>
#include <string_view>

#include "base/status.h"

namespace redoubt::pki {

inline constexpr std::chrono::hours kCaLifetime{24 * 3650};
inline constexpr std::string_view kServiceAccountKey = "sa";
// Which there are: "ca", "kubelet-ca", "front-proxy-ca", and "sa".
inline constexpr std::string_view kAuthorities[] = {"ca", "kubelet-ca", "front-proxy-ca", kServiceAccountKey};

enum class RotationPhase { None, Trusted, Switched };  // nothing under way; after begin; after advance

// Why an authority signs nothing here, and so is not to be rotated: what it would sign is given by a file, or signed by
// an external authority. Empty when it is the server's own.
Result<std::string> why_external(const std::string& folder, std::string_view name);

Result<RotationPhase> rotation_phase(const std::string& folder, std::string_view name);
Result<void> begin_rotation(const std::string& folder, std::string_view name);
Result<void> advance_rotation(const std::string& folder, std::string_view name);
Result<void> finish_rotation(const std::string& folder, std::string_view name);
Result<void> cancel_rotation(const std::string& folder, std::string_view name);

// For who holds the folder's lock: completes an `advance` that a crash cut short.
Result<void> complete_switch(const std::string& folder, std::string_view name);

}  // namespace redoubt::pki
