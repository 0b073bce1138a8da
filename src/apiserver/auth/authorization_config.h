// Which authorizers decide, in which order: from --authorization-mode and its companions, or from the file of
// --authorization-config (apiserver.config.k8s.io AuthorizationConfiguration, v1, v1beta1 and v1alpha1).
//
// matchConditions are CEL: a file that has them is refused with the field's path.
#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace redoubt::apiserver {

struct WebhookAuthorizerConfig {
  std::string kubeconfig;           // a file; empty: in the cluster, as its own pod
  std::string version = "v1beta1";  // of authorization.k8s.io: v1 or v1beta1
  std::chrono::milliseconds authorized_ttl{300'000}, unauthorized_ttl{30'000};
  bool cache_authorized = true, cache_unauthorized = true;
  std::chrono::milliseconds timeout{10'000};  // of one question, retries included
  bool fail_closed = false;                   // failurePolicy Deny; else no opinion
};

struct AuthorizerConfig {
  enum class Type { Node, Rbac, Webhook, Abac, AlwaysAllow, AlwaysDeny };
  Type type;
  std::string name;
  WebhookAuthorizerConfig webhook;
};

// BadRequest lists every problem with its path. `abac`: whether a policy file was given.
Result<std::vector<AuthorizerConfig>> parse_authorization_config(std::string_view text, bool abac);
// "Node", "RBAC", ...; BadRequest names the mode.
Result<AuthorizerConfig::Type> authorizer_type(std::string_view mode);

}  // namespace redoubt::apiserver
