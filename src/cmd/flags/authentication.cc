#include "cmd/flags/authentication.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/time.h"
#include "cmd/flags/flag_values.h"

namespace redoubt::cmd {

namespace {

Result<apiserver::JwtIssuer> oidc_issuer(const AuthenticationFlags& f, const std::vector<std::string>& own_issuers) {
  if (f.oidc_issuer_url.empty() || f.oidc_client_id.empty())
    return bad_request("--oidc-issuer-url and --oidc-client-id must be specified together");
  apiserver::JwtIssuer out;
  out.url = f.oidc_issuer_url;
  if (auto url = apiserver::parse_https_url(out.url); !url)
    return wrong_flag("--oidc-issuer-url", out.url, url.error());
  if (std::find(own_issuers.begin(), own_issuers.end(), out.url) != own_issuers.end())
    return bad_request(fmt::format("--oidc-issuer-url {}: is an issuer of ServiceAccount tokens", out.url));
  out.audiences = {f.oidc_client_id};
  if (!f.oidc_ca_file.empty()) {
    RD_TRY(out.certificate_authority, read_flag_file("--oidc-ca-file", f.oidc_ca_file));
    if (auto ca = pki::TrustBundle::from_pem(out.certificate_authority); !ca)
      return wrong_flag("--oidc-ca-file", f.oidc_ca_file, ca.error());
  }
  out.username_claim = f.oidc_username_claim;
  // Names of different issuers must not meet: upstream's rule. "-" says that nothing goes before them.
  if (f.oidc_username_prefix == "-") {
    out.username_prefix = "";
  } else if (f.oidc_username_prefix.empty() && out.username_claim != "email") {
    out.username_prefix = out.url + "#";
  } else {
    out.username_prefix = f.oidc_username_prefix;
  }
  out.groups_claim = f.oidc_groups_claim;
  out.groups_prefix = f.oidc_groups_prefix;
  const auto& known = apiserver::all_signing_algorithms();
  for (const std::string& algorithm : f.oidc_signing_algs) {
    if (std::find(known.begin(), known.end(), algorithm) == known.end())
      return bad_request(
          fmt::format("--oidc-signing-algs {}: is not supported; {} are", algorithm, fmt::join(known, ", ")));
  }
  out.algorithms = f.oidc_signing_algs;
  for (const std::string& pair : f.oidc_required_claim) {
    size_t at = pair.find('=');
    if (at == 0 || at == std::string::npos)
      return bad_request(fmt::format("--oidc-required-claim {}: key=value is wanted", pair));
    out.required_claims.push_back({pair.substr(0, at), pair.substr(at + 1)});
  }
  return out;
}

bool any_oidc(const AuthenticationFlags& f) {
  return !f.oidc_issuer_url.empty() || !f.oidc_client_id.empty() || !f.oidc_ca_file.empty() ||
         !f.oidc_username_prefix.empty() || !f.oidc_groups_claim.empty() || !f.oidc_groups_prefix.empty() ||
         !f.oidc_required_claim.empty();
}

// The PEM blocks of a text, but for curve parameters, which some tools write before a key.
std::vector<std::string> pem_blocks(const std::string& text) {
  std::vector<std::string> out;
  for (size_t at = text.find("-----BEGIN "); at != std::string::npos; at = text.find("-----BEGIN ", at)) {
    size_t end = text.find("-----END ", at);
    size_t line = end == std::string::npos ? end : text.find('\n', end);
    std::string block = text.substr(at, line == std::string::npos ? line : line - at + 1);
    if (block.substr(0, block.find('\n')).find("PARAMETERS") == std::string::npos) out.push_back(block);
    if (line == std::string::npos) break;
    at = line;
  }
  return out;
}

struct TokenKeys {
  std::string signing;
  std::vector<std::string> verifying;
};

Result<TokenKeys> token_keys(const AuthenticationFlags& f, const pki::ClusterPki& pki) {
  TokenKeys out{pki.service_account_key, {}};
  if (!f.service_account_signing_key_file.empty()) {
    RD_TRY(out.signing,
           pki::load_given_key({"", "", "--service-account-signing-key-file", f.service_account_signing_key_file}));
  }
  if (auto signer = pki::TokenSigner::from_pem(out.signing); !signer)
    return wrong_flag("--service-account-signing-key-file", f.service_account_signing_key_file, signer.error());
  // What is signed must verify; then the cluster's own, and whatever else is named, so that keys can be rotated.
  out.verifying = {out.signing};
  if (f.service_account_signing_key_file.empty()) out.verifying = pki.service_account_verifiers;
  for (const std::string& file : f.service_account_key_file) {
    RD_TRY(std::string text, read_flag_file("--service-account-key-file", file));
    auto blocks = pem_blocks(text);
    if (auto ok = pki::TokenVerifier::from_pem(blocks); !ok)
      return wrong_flag("--service-account-key-file", file, ok.error());
    out.verifying.insert(out.verifying.end(), blocks.begin(), blocks.end());
  }
  return out;
}

Result<std::string> client_authorities(const AuthenticationFlags& f, const pki::ClusterPki& pki) {
  std::string out = pki.client_ca_bundle;
  if (!f.client_ca_file.empty()) {
    RD_TRY(std::string more, read_flag_file("--client-ca-file", f.client_ca_file));
    if (auto ok = pki::TrustBundle::from_pem(more); !ok)
      return wrong_flag("--client-ca-file", f.client_ca_file, ok.error());
    out += "\n" + more;
  }
  return out;
}

Result<void> service_accounts(const AuthenticationFlags& f, const pki::ClusterPki& pki,
                              apiserver::AuthenticatorOptions& out, LiveAuthentication& live) {
  auto& accounts = out.service_accounts;
  if (!f.service_account_issuer.empty()) accounts.issuers = f.service_account_issuer;
  for (const std::string& issuer : accounts.issuers) {
    bool is_url = issuer.find(':') != std::string::npos;
    if (issuer.empty() || (is_url && issuer.find("://") == std::string::npos))
      return bad_request(fmt::format("--service-account-issuer {}: a text without ':' or a URL is wanted", issuer));
  }
  out.api_audiences = f.api_audiences.empty() ? std::vector<std::string>{accounts.issuers.front()} : f.api_audiences;
  RD_TRY(TokenKeys keys, token_keys(f, pki));
  RD_TRY(live.token_signer, pki::LiveSigner::from_pem(keys.signing));
  RD_TRY(live.token_keys, pki::LiveVerifier::from_pem(keys.verifying));
  accounts.signer = live.token_signer;
  accounts.keys = live.token_keys;
  RD_TRY(auto most, duration_flag("--service-account-max-token-expiration", f.service_account_max_token_expiration));
  accounts.max_expiration = std::chrono::duration_cast<std::chrono::seconds>(most);
  if (most.count() != 0 && (most < std::chrono::hours(1) || most > std::chrono::seconds(int64_t{1} << 32)))
    return bad_request(fmt::format("--service-account-max-token-expiration {}: must be between 1h and 2^32 seconds",
                                   f.service_account_max_token_expiration));
  accounts.extend_expiration = f.service_account_extend_token_expiration;
  return {};
}

Result<void> front_proxy(const AuthenticationFlags& f, apiserver::ApiServerOptions& options, LiveAuthentication& live) {
  auto& out = options.authentication.front_proxy;
  if (f.requestheader_client_ca_file.empty()) {
    if (!f.requestheader_allowed_names.empty() || !f.requestheader_username_headers.empty() ||
        !f.requestheader_uid_headers.empty() || !f.requestheader_group_headers.empty() ||
        !f.requestheader_extra_headers_prefix.empty())
      return bad_request("--requestheader-* flags need --requestheader-client-ca-file: whose word the headers are");
    return {};
  }
  RD_TRY(std::string ca, read_flag_file("--requestheader-client-ca-file", f.requestheader_client_ca_file));
  auto bundle = pki::LiveTrust::from_pem(ca);
  if (!bundle) return wrong_flag("--requestheader-client-ca-file", f.requestheader_client_ca_file, bundle.error());
  out.client_ca = live.front_proxy_ca = *bundle;
  options.authorities.front_proxies = std::move(ca);
  out.allowed_names = f.requestheader_allowed_names;
  auto take = [](std::vector<std::string>& into, const std::vector<std::string>& from) {
    if (!from.empty()) into = from;
  };
  take(out.username_headers, f.requestheader_username_headers);
  take(out.uid_headers, f.requestheader_uid_headers);
  take(out.group_headers, f.requestheader_group_headers);
  take(out.extra_headers_prefixes, f.requestheader_extra_headers_prefix);
  return {};
}

Result<void> issuers_and_anonymous(const AuthenticationFlags& f, apiserver::AuthenticatorOptions& out) {
  if (f.anonymous_auth) out.anonymous = {.enabled = *f.anonymous_auth, .every_path = *f.anonymous_auth};
  if (f.authentication_config.empty()) {
    if (!any_oidc(f)) return {};
    RD_TRY(auto issuer, oidc_issuer(f, out.service_accounts.issuers));
    out.jwt_issuers.push_back(std::move(issuer));
    return {};
  }
  if (any_oidc(f)) return bad_request("--authentication-config and --oidc-* flags exclude each other");
  RD_TRY(std::string text, read_flag_file("--authentication-config", f.authentication_config));
  auto config = apiserver::parse_authentication_config(text, out.service_accounts.issuers);
  if (!config) return wrong_flag("--authentication-config", f.authentication_config, config.error());
  if (config->anonymous && f.anonymous_auth)
    return bad_request(
        fmt::format("--anonymous-auth and the anonymous section of --authentication-config {} exclude "
                    "each other",
                    f.authentication_config));
  out.jwt_issuers = std::move(config->jwt);
  if (config->anonymous) out.anonymous = *config->anonymous;
  out.config_file = f.authentication_config;
  return {};
}

}  // namespace

void add_authentication_flags(CLI::App& command, AuthenticationFlags& f) {
  auto list = [&](const char* name, std::vector<std::string>& into, const char* help) {
    command.add_option(name, into, help)->delimiter(',')->allow_extra_args(false);
  };
  auto each = [&](const char* name, std::vector<std::string>& into, const char* help) {
    command.add_option(name, into, help)->allow_extra_args(false);
  };
  command.add_option("--client-ca-file", f.client_ca_file,
                     "authorities of client certificates, besides the cluster's own (PEM)");
  command.add_option("--token-auth-file", f.token_auth_file,
                     "file of static tokens: token,user,uid,\"group,group\" a line");
  command.add_option("--anonymous-auth", f.anonymous_auth,
                     "true: every path may be asked for without a credential, false: none (default: the health checks "
                     "and the signed cluster-info)");
  command
      .add_flag("--enable-bootstrap-token-auth,!--no-enable-bootstrap-token-auth", f.enable_bootstrap_token_auth,
                "let Secrets of type bootstrap.kubernetes.io/token authenticate")
      ->default_str("true");
  command.add_option("--authentication-config", f.authentication_config,
                     "AuthenticationConfiguration file: JWT issuers, anonymous paths; read again when it changes");
  list("--api-audiences", f.api_audiences, "audiences of tokens for this API (default: the ServiceAccount issuer)");
  each("--service-account-issuer", f.service_account_issuer,
       "issuer of ServiceAccount tokens; the first one issues, all are accepted");
  each("--service-account-key-file", f.service_account_key_file,
       "further keys that ServiceAccount tokens may be signed with (PEM; several in a file or files)");
  command.add_option("--service-account-signing-key-file", f.service_account_signing_key_file,
                     "key that ServiceAccount tokens are signed with (default: the cluster's own)");
  command
      .add_option("--service-account-max-token-expiration", f.service_account_max_token_expiration,
                  "longest life of an issued token; 0s: no limit")
      ->capture_default_str();
  command.add_flag("--service-account-extend-token-expiration,!--no-service-account-extend-token-expiration",
                   f.service_account_extend_token_expiration,
                   "let projected tokens live a year, for programs that read them only once");
  command.add_option("--service-account-jwks-uri", f.service_account_jwks_uri,
                     "where the discovery document says the keys are (default: this server)");
  command.add_option("--oidc-issuer-url", f.oidc_issuer_url, "OpenID Connect issuer, https only");
  command.add_option("--oidc-client-id", f.oidc_client_id, "audience that its tokens must name");
  command.add_option("--oidc-ca-file", f.oidc_ca_file,
                     "authorities of the issuer's certificate (default: the system's)");
  command.add_option("--oidc-username-claim", f.oidc_username_claim, "claim that is the user's name")
      ->capture_default_str();
  command.add_option("--oidc-username-prefix", f.oidc_username_prefix,
                     "goes before names (default: ISSUER# unless the claim is email; -: nothing)");
  command.add_option("--oidc-groups-claim", f.oidc_groups_claim, "claim that lists the user's groups");
  command.add_option("--oidc-groups-prefix", f.oidc_groups_prefix, "goes before groups");
  list("--oidc-signing-algs", f.oidc_signing_algs, "algorithms that its tokens may be signed by (default: RS256)");
  each("--oidc-required-claim", f.oidc_required_claim, "key=value that a token must claim");
  command.add_option("--authentication-token-webhook-config-file", f.token_webhook_config_file,
                     "kubeconfig of a webhook that knows tokens");
  command.add_option("--authentication-token-webhook-version", f.token_webhook_version, "of its TokenReviews")
      ->check(CLI::IsMember({"v1", "v1beta1"}))
      ->capture_default_str();
  command
      .add_option("--authentication-token-webhook-cache-ttl", f.token_webhook_cache_ttl,
                  "how long its answers are remembered")
      ->capture_default_str();
  command.add_option("--requestheader-client-ca-file", f.requestheader_client_ca_file,
                     "authorities of front proxies, whose word on who the user is counts");
  list("--requestheader-allowed-names", f.requestheader_allowed_names,
       "common names of front proxies (default: any certificate of their authority)");
  list("--requestheader-username-headers", f.requestheader_username_headers, "default: X-Remote-User");
  list("--requestheader-uid-headers", f.requestheader_uid_headers, "default: none");
  list("--requestheader-group-headers", f.requestheader_group_headers, "default: X-Remote-Group");
  list("--requestheader-extra-headers-prefix", f.requestheader_extra_headers_prefix, "default: X-Remote-Extra-");
}

std::vector<std::string> live_files(const AuthenticationFlags& f) {
  std::vector<std::string> out = f.service_account_key_file;
  for (const std::string& file :
       {f.client_ca_file, f.requestheader_client_ca_file, f.service_account_signing_key_file}) {
    if (!file.empty()) out.push_back(file);
  }
  return out;
}

Result<AcceptedAuthorities> refresh(const AuthenticationFlags& f, const pki::ClusterPki& pki,
                                    const LiveAuthentication& live) {
  AcceptedAuthorities out;
  RD_TRY(out.clients, client_authorities(f, pki));
  RD_TRYV(live.client_ca->replace(out.clients));
  // Verified before it is signed with.
  RD_TRY(TokenKeys keys, token_keys(f, pki));
  RD_TRYV(live.token_keys->replace(keys.verifying));
  RD_TRYV(live.token_signer->replace(keys.signing));
  if (live.front_proxy_ca) {
    RD_TRY(out.front_proxies, read_flag_file("--requestheader-client-ca-file", f.requestheader_client_ca_file));
    RD_TRYV(live.front_proxy_ca->replace(out.front_proxies));
  }
  return out;
}

Result<void> apply(const AuthenticationFlags& f, const pki::ClusterPki& pki, apiserver::ApiServerOptions& options,
                   LiveAuthentication& live) {
  auto& out = options.authentication;
  RD_TRY(std::string authorities, client_authorities(f, pki));
  RD_TRY(live.client_ca, pki::LiveTrust::from_pem(authorities));
  out.client_ca = live.client_ca;
  options.authorities.clients = std::move(authorities);
  out.bootstrap_tokens = f.enable_bootstrap_token_auth;
  if (!f.token_auth_file.empty()) {
    RD_TRY(std::string text, read_flag_file("--token-auth-file", f.token_auth_file));
    auto tokens = apiserver::parse_token_file(text);
    if (!tokens) return wrong_flag("--token-auth-file", f.token_auth_file, tokens.error());
    out.static_tokens = std::move(*tokens);
  }
  RD_TRYV(service_accounts(f, pki, out, live));
  options.service_account_jwks_uri = f.service_account_jwks_uri;
  RD_TRYV(front_proxy(f, options, live));
  RD_TRYV(issuers_and_anonymous(f, out));
  if (!f.token_webhook_config_file.empty()) {
    apiserver::WebhookTokenOptions webhook;
    auto connection = apiserver::https_options_of_kubeconfig(f.token_webhook_config_file);
    if (!connection) return Error(connection.error().with_context("--authentication-token-webhook-config-file"));
    webhook.connection = std::move(*connection);
    webhook.version = f.token_webhook_version;
    RD_TRY(auto ttl, duration_flag("--authentication-token-webhook-cache-ttl", f.token_webhook_cache_ttl));
    webhook.cache_ttl = std::chrono::duration_cast<std::chrono::milliseconds>(ttl);
    out.webhook = std::move(webhook);
  }
  return {};
}

}  // namespace redoubt::cmd
