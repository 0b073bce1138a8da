// HTTPConnect of an EgressSelectorConfiguration: through a proxy such as upstream's konnectivity-server.
#pragma once
#include <memory>
#include <string>

#include "egress/dialer.h"
#include "net/tls.h"

namespace redoubt::egress {

struct HttpConnectOptions {
  std::string unix_path;  // or
  net::Address address;
  std::shared_ptr<net::TlsClientContext> tls;  // null: plain, for unix sockets (or an http:// URL)
};
std::unique_ptr<Dialer> make_http_connect_dialer(HttpConnectOptions options);

}  // namespace redoubt::egress
