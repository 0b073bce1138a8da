// The Dialer that the server uses: chooses, by an EgressSelectorConfiguration and the target's network, which
// implementation serves a dial, and counts it.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "egress/configuration.h"
#include "egress/dialer.h"

namespace redoubt::egress {

// What becomes of a dial to a node that has no tunnel where the configuration says Reverse or SSH.
enum class WithoutTunnel {
  DirectWhenEncrypted,  // directly, if the caller encrypts and verifies by itself (kubelets, https); plain text never
  Refuse,
};

struct SelectorOptions {
  EgressConfiguration configuration = default_configuration();
  WithoutTunnel without_tunnel = WithoutTunnel::DirectWhenEncrypted;
  // The implementations, each outliving the selector; null where there is none.
  Dialer* reverse = nullptr;
  Dialer* ssh = nullptr;
  Dialer* konnectivity = nullptr;  // the server in this process
  // Konnectivity's GRPC over a unix socket: makes the dialer of a udsName; empty where it isn't built in.
  std::function<Result<std::unique_ptr<Dialer>>(std::string uds_name)> make_grpc;
};

// BadRequest when the configuration names what is not there (a protocol, a file). Reads the files it names: blocking.
Result<std::unique_ptr<Dialer>> make_selector(SelectorOptions options);

}  // namespace redoubt::egress
