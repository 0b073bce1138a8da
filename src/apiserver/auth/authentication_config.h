// The file of --authentication-config: issuers of JSON Web Tokens, and where requests may stay anonymous
// (apiserver.config.k8s.io AuthenticationConfiguration, v1, v1beta1 and v1alpha1).
//
// CEL expressions are not evaluated here: a file that has one is refused with the field's path, never half-used.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace redoubt::apiserver {

struct RequiredClaim {
  std::string claim, value;
};

struct JwtIssuer {
  std::string url;
  std::string discovery_url;           // empty: URL/.well-known/openid-configuration
  std::string certificate_authority;   // PEM; empty: the system's authorities
  std::vector<std::string> audiences;  // a token is for one of these
  bool egress_cluster = false;         // dial through the cluster's egress
  std::string username_claim, username_prefix;
  std::string groups_claim, groups_prefix;  // no claim: no groups
  std::string uid_claim;
  std::vector<RequiredClaim> required_claims;
  std::vector<std::string> algorithms;  // that may sign
};
// All that a signature may be made with; --oidc-signing-algs narrows it for the issuer of the --oidc-* flags.
const std::vector<std::string>& all_signing_algorithms();

// Who may come without a credential.
struct AnonymousPolicy {
  bool enabled = true;
  bool every_path = false;         // leaves it to the authorizers
  std::vector<std::string> paths;  // exactly these
};

struct AuthenticationConfig {
  std::vector<JwtIssuer> jwt;
  std::optional<AnonymousPolicy> anonymous;
};

// `disallowed_issuers`: whose tokens are known otherwise (ServiceAccounts'). BadRequest lists every problem with its
// path.
Result<AuthenticationConfig> parse_authentication_config(std::string_view text,
                                                         const std::vector<std::string>& disallowed_issuers);

}  // namespace redoubt::apiserver
