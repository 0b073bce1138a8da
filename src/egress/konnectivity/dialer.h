// Konnectivity as one of egress' ways: through a proxy server elsewhere (GRPC of an EgressSelectorConfiguration), or
// through the one of this process.
#pragma once
#include <memory>

#include "egress/dialer.h"
#include "egress/konnectivity/proxy_client.h"
#include "egress/konnectivity/server.h"

namespace redoubt::konnectivity {

// Confidential only as far as the agent, which may be anywhere: as HTTPConnect, it counts as confidential when the way
// to the proxy server is (a unix socket, or TLS), since the server's agents connect to it by TLS.
std::unique_ptr<egress::Dialer> make_konnectivity_dialer(ProxyClient::Options options);

// Any loop; `server`'s must run for as long as there are dials. Confidential where the target's own node has an agent,
// which alone is then asked.
std::unique_ptr<egress::Dialer> make_konnectivity_dialer(std::shared_ptr<Server> server);

}  // namespace redoubt::konnectivity
