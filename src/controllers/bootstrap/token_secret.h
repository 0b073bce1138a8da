// A bootstrap token's Secret (kube-system/bootstrap-token-ID, type bootstrap.kubernetes.io/token), read.
#pragma once
#include <optional>
#include <string>

#include "base/time.h"
#include "pki/bootstrap_token.h"
#include "schema/k8s/core_v1.h"

namespace redoubt::controllers {

inline constexpr const char* kTokenSecretType = "bootstrap.kubernetes.io/token";

struct TokenSecret {
  pki::BootstrapToken token;
  bool signs = false;          // usage-bootstrap-signing
  bool authenticates = false;  // usage-bootstrap-authentication
  std::optional<Timestamp> ends;
  bool is_over(Timestamp present) const { return ends && *ends <= present; }
};

// Nothing for a Secret that is no token: another type, or a name, id and secret that don't fit. A time that can't be
// read has passed, as upstream takes it.
std::optional<TokenSecret> read_token_secret(const k8s::core::v1::Secret& secret);

}  // namespace redoubt::controllers
