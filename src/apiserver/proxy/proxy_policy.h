// What the administrator decides about the proxies to nodes, pods and Services (docs/proxies.md).
#pragma once

namespace redoubt::apiserver {

// --proxy-plaintext: what happens to bytes that nobody has encrypted for the backend, or not for a verified one, where
// they would cross the network in the clear.
enum class PlaintextPolicy { Refuse, Allow };
// --proxy-unverified-tls: https to a backend for which no authority is named.
enum class UnverifiedTlsPolicy { Refuse, Report };
// --proxy-cookies: Scoped keeps each backend's cookies apart under names and paths of its own; Drop passes none;
// Forward passes them as they are, as upstream does.
enum class CookiePolicy { Scoped, Drop, Forward };

struct ProxyPolicy {
  PlaintextPolicy plaintext = PlaintextPolicy::Refuse;
  UnverifiedTlsPolicy unverified_tls = UnverifiedTlsPolicy::Report;
  CookiePolicy cookies = CookiePolicy::Scoped;
};

}  // namespace redoubt::apiserver
