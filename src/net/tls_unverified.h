// A client that takes any certificate: only for backends of the API server's proxies that name no authority, and only
// where the policy says that such connections are reported instead of refused. No path of the control plane's own may
// use it: what is verified nowhere must not look like what is.
#pragma once
#include "net/tls.h"

namespace redoubt::net {

Result<std::shared_ptr<TlsClientContext>> make_unverified_tls(TlsClientContext::Options options);

}  // namespace redoubt::net
