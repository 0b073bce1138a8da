// Flags of authorization, under kube-apiserver's names, and what they make of an API server's options.
#pragma once
#include <string>
#include <vector>

#include "apiserver/apiserver.h"
#include "base/status.h"

namespace CLI {
class App;
}

namespace redoubt::cmd {

struct AuthorizationFlags {
  std::vector<std::string> modes;  // default: Node, RBAC
  std::string policy_file;
  std::string webhook_config_file;
  std::string webhook_version = "v1beta1";
  std::string webhook_cache_authorized_ttl = "5m0s";
  std::string webhook_cache_unauthorized_ttl = "30s";
  std::string authorization_config;
};

void add_authorization_flags(CLI::App& command, AuthorizationFlags& flags);

// Reads the files that the flags name and fills in `options`. Blocking. BadRequest names the flag, the file, and the
// line or field.
Result<void> apply(const AuthorizationFlags& flags, apiserver::ApiServerOptions& options);

}  // namespace redoubt::cmd
