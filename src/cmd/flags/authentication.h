// Flags of authentication, under kube-apiserver's names, and what they make of an API server's options.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apiserver/apiserver.h"
#include "base/status.h"
#include "pki/cluster_pki.h"
#include "pki/live.h"

namespace CLI {
class App;
}

namespace redoubt::cmd {

struct AuthenticationFlags {
  std::string client_ca_file;
  std::string token_auth_file;
  std::optional<bool> anonymous_auth;
  bool enable_bootstrap_token_auth = true;
  std::string authentication_config;
  std::vector<std::string> api_audiences;

  std::vector<std::string> service_account_issuer;
  std::vector<std::string> service_account_key_file;
  std::string service_account_signing_key_file;
  std::string service_account_max_token_expiration = "0s";
  bool service_account_extend_token_expiration = false;
  std::string service_account_jwks_uri;

  std::string oidc_issuer_url, oidc_client_id, oidc_ca_file;
  std::string oidc_username_claim = "sub", oidc_username_prefix, oidc_groups_claim, oidc_groups_prefix;
  std::vector<std::string> oidc_signing_algs = {"RS256"};
  std::vector<std::string> oidc_required_claim;

  std::string token_webhook_config_file;
  std::string token_webhook_version = "v1beta1";
  std::string token_webhook_cache_ttl = "2m0s";

  std::string requestheader_client_ca_file;
  std::vector<std::string> requestheader_allowed_names, requestheader_username_headers, requestheader_uid_headers,
      requestheader_group_headers, requestheader_extra_headers_prefix;
};

void add_authentication_flags(CLI::App& command, AuthenticationFlags& flags);

// What changes while the server runs: authorities and keys are rotated, and files replaced.
struct LiveAuthentication {
  std::shared_ptr<pki::LiveTrust> client_ca;
  std::shared_ptr<pki::LiveTrust> front_proxy_ca;  // null without --requestheader-client-ca-file
  std::shared_ptr<pki::LiveVerifier> token_keys;
  std::shared_ptr<pki::LiveSigner> token_signer;
};

// Reads the files that the flags name and fills in `options` and `live`; what no flag says comes from the server's own
// keys. Blocking. BadRequest names the flag, the file, and the line or field.
Result<void> apply(const AuthenticationFlags& flags, const pki::ClusterPki& pki, apiserver::ApiServerOptions& options,
                   LiveAuthentication& live);
// Whose certificates count, PEM.
struct AcceptedAuthorities {
  std::string clients, front_proxies;
};
// Reads them again, into `live`. On error the part that is wrong stays as it was. Blocking (small files).
Result<AcceptedAuthorities> refresh(const AuthenticationFlags& flags, const pki::ClusterPki& pki,
                                    const LiveAuthentication& live);
// The files that refresh() reads.
std::vector<std::string> live_files(const AuthenticationFlags& flags);

}  // namespace redoubt::cmd
