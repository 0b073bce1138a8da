// Where the API server's proxies never go, whoever asks: its own loopback, link-local addresses (cloud metadata lives
// there), further addresses of clouds' metadata services, multicast, and the API server itself. A check of the very
// address that is then dialled, so that no name can mean one thing here and another there (CVE-2020-8562).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/task.h"
#include "net/tcp.h"

namespace redoubt::apiserver {

class AddressGuard {
 public:
  // `apiserver`: addresses and ports that the API server answers on. `allow_loopback` is for the kubelet of the API
  // server's own machine, whose certificate proves who it is.
  explicit AddressGuard(std::vector<net::Address> apiserver) : apiserver_(std::move(apiserver)) {}

  // BadRequest "address not allowed", as upstream says it. `ip` is a literal; a name is refused.
  Result<void> check(std::string_view ip, uint16_t port, bool allow_loopback = false) const;
  // The same, for a host that may be a name: it is resolved here, every address is checked, and the first is returned
  // as a literal for dialling.
  Task<Result<net::Address>> resolve(net::Address address, bool allow_loopback = false) const;

 private:
  std::vector<net::Address> apiserver_;
};

}  // namespace redoubt::apiserver
