// The body of a backend's HTML page on its way back: unpacked where it is packed (gzip, deflate), its links led back
// through the proxy.
#pragma once
#include <memory>

#include "apiserver/proxy/proxy_url.h"
#include "apiserver/proxy/relay.h"

namespace redoubt::apiserver {

// Nothing when the answer is no HTML, or packed in a way that is not known here: then it passes as it is, as upstream
// does. Else the transformation, with `headers` changed to match it.
RelayHooks::Transform page_transform(net::Headers& headers, std::shared_ptr<const LinkRewriter> links);

}  // namespace redoubt::apiserver
