// The way out of a machine to the API server: straight, or through the HTTP proxy that HTTPS_PROXY names (NO_PROXY
// excepted), as Go's programs read these variables.
#pragma once
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/task.h"
#include "net/stream.h"
#include "net/tcp.h"

namespace redoubt::net {

struct ProxySettings {
  std::string https_proxy;  // "http://[user:password@]host:port", "https://..." or "host:port"; empty: none
  std::string no_proxy;     // comma-separated: "*", addresses, CIDRs, domains (".x" or "x"), each with optional port
  // From HTTPS_PROXY and NO_PROXY, or their lower-case forms.
  static ProxySettings from_environment();
};

struct Proxy {
  Address address;
  bool tls = false;
  std::string authorization;  // "Basic ..."; a secret
};
// The proxy to use for that target; nothing where it is reached straight (loopback always is). BadRequest for a proxy
// that is no URL; the message doesn't hold it, since it may hold a password.
Result<std::optional<Proxy>> proxy_for(const ProxySettings& settings, const Address& target);

// Connects to `target` by way of the proxy, if one is set for it.
Task<Result<StreamPtr>> dial_out(Address target, ProxySettings settings, std::chrono::milliseconds timeout);

}  // namespace redoubt::net
