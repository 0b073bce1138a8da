#include "kubelet/node/join.h"

#include "base/blocking.h"
#include "base/log.h"
#include "kubelet/node/certificate_request.h"
#include "pki/bootstrap_token.h"
#include "schema/k8s/core_v1.h"

namespace redoubt::kubelet {

namespace {

// A join is waited for by a person.
constexpr std::chrono::minutes kApprovalPatience{15};
constexpr const char* kClusterInfo = "/api/v1/namespaces/kube-public/configmaps/cluster-info";

bool is_hash(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256:";
  return text.starts_with(kPrefix) && text.size() == kPrefix.size() + 64 &&
         text.substr(kPrefix.size()).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// The server, whom to trust, and a credential: from flags, or from a bootstrap kubeconfig.
Result<client::Config> bootstrap_config(const Options& options) {
  client::Config config;
  if (!options.bootstrap_kubeconfig.empty()) {
    RD_TRY(config, client::load_kubeconfig(options.bootstrap_kubeconfig));
    if (config.bearer_token.empty() && config.bearer_token_file.empty() && config.certificate_pem.empty())
      return bad_request(fmt::format("{} holds no credential", options.bootstrap_kubeconfig));
    if (config.ca_pem.empty())
      return bad_request(fmt::format("{} names no certificate-authority", options.bootstrap_kubeconfig));
    return config;
  }
  config.server = options.server;
  config.bearer_token = options.bootstrap_token;
  if (!options.ca_file.empty()) {
    RD_TRY(config.ca_pem, pki::read_file(options.ca_file));
    auto certificates = pki::parse_certificates(config.ca_pem);
    if (certificates.empty()) return bad_request(fmt::format("{} holds no PEM certificate", options.ca_file));
    for (const std::string& hash : options.ca_hashes) {
      bool found = std::any_of(certificates.begin(), certificates.end(),
                               [&](const pki::Certificate& c) { return c.spki_hash == hash; });
      if (!found) return bad_request(fmt::format("{} holds no certificate with the hash {}", options.ca_file, hash));
    }
  } else {
    config.pinned_ca_hashes = options.ca_hashes;
  }
  return config;
}

// What a person can do about it.
Error explain(const Status& status, const client::Config& config) {
  const std::string& message = status.message();
  if (message.find("pinned hash") != std::string::npos)
    return service_unavailable(fmt::format(
        "the server at {} is not the one that --discovery-token-ca-cert-hash names: no authority that it shows has the "
        "hash. Nothing was sent to it. Compare the hash with what `redoubt token create` printed",
        config.server));
  if (message.find("x509:") != std::string::npos)
    return service_unavailable(
        fmt::format("the server at {} could not be verified, so nothing was sent to it: {}", config.server, message));
  if (status.code() == 503)
    return service_unavailable(fmt::format(
        "can't reach the API server at {}: {}. Is it running, and is the address right?", config.server, message));
  return Error(status);
}

// How the server signs off a token: asked without any credential, as the ConfigMap is for everybody.
Task<std::string> read_cluster_info(client::Config config) {
  config.bearer_token.clear();
  config.bearer_token_file.clear();
  config.certificate_pem.clear();
  config.private_key_pem.clear();
  client::Client api(co_await boost::asio::this_coro::executor, std::move(config));
  auto answer = co_await api.request("GET", kClusterInfo, {});
  co_return answer ? answer->body : std::string();
}

}  // namespace

std::string explain_refused_token(const std::string& text, std::string_view cluster_info) {
  auto token = pki::parse_bootstrap_token(text);
  if (!token) return "the server refused the credential";
  auto map = schema::from_json<k8s::core::v1::ConfigMap>(cluster_info);
  std::string make_new = "make a new one with `redoubt token create` on the server";
  if (!map) return fmt::format("the server refused the bootstrap token {}: {}", token->id, make_new);
  auto signature = map->data.find("jws-kubeconfig-" + token->id);
  if (signature != map->data.end()) {
    if (!pki::verify_detached(map->data["kubeconfig"], signature->second, *token))
      return fmt::format("the bootstrap token {} is known to the server, but its secret is another: copy it again",
                         token->id);
    return fmt::format("the bootstrap token {} may sign but not authenticate: it was made without that usage",
                       token->id);
  }
  std::string_view ended = map->metadata.annotations["redoubt.dev/ended-tokens"];
  size_t at = ended.find(token->id + "=");
  if (at != std::string_view::npos) {
    std::string_view rest = ended.substr(at + token->id.size() + 1);
    rest = rest.substr(0, rest.find(','));
    std::string_view how = rest.substr(0, rest.find('@'));
    std::string when(rest.find('@') == std::string_view::npos ? "" : rest.substr(rest.find('@') + 1));
    if (how == "expired") return fmt::format("the bootstrap token {} expired at {}: {}", token->id, when, make_new);
    return fmt::format("the bootstrap token {} was used up: it was deleted at {}; {}", token->id, when, make_new);
  }
  return fmt::format("the bootstrap token {} is unknown to this server: {}", token->id, make_new);
}

bool needs_bootstrap(const Options& options) {
  std::string why;
  return !load_identity(options, why);
}

Result<void> check_bootstrap(const Options& options) {
  if (!options.bootstrap_kubeconfig.empty()) return {};
  if (options.server.empty()) return bad_request("which server? Give its URL: https://HOST:6443");
  if (!options.server.starts_with("https://"))
    return bad_request(fmt::format("the server \"{}\" is no https:// URL: only https is spoken", options.server));
  if (!pki::parse_bootstrap_token(options.bootstrap_token))
    return bad_request(
        "the bootstrap token is malformed: six characters, a dot and sixteen characters of a-z and 0-9 are meant "
        "(abcdef.0123456789abcdef)");
  if (options.ca_hashes.empty() && options.ca_file.empty())
    return bad_request(
        "a bootstrap token needs --discovery-token-ca-cert-hash (or --ca-file) beside it: without, any server could "
        "take its place");
  for (const std::string& hash : options.ca_hashes) {
    if (!is_hash(hash))
      return bad_request(fmt::format(
          "--discovery-token-ca-cert-hash: \"{}\" is malformed: sha256: and 64 hex digits in lower case are meant",
          hash));
  }
  return {};
}

Task<Result<NodeIdentity>> ensure_identity(Options options) {
  std::string why;
  auto kept = co_await run_blocking([&options, &why] { return load_identity(options, why); });
  if (kept) {
    if (!options.server.empty()) kept->server = options.server;
    co_return *kept;
  }
  if (options.bootstrap_token.empty() && options.bootstrap_kubeconfig.empty())
    co_return unauthorized(fmt::format(
        "{}, and no bootstrap token was given: join with the line that `redoubt token create` prints on the server",
        why.empty() ? "this node has no certificate" : why));
  if (!why.empty()) log_warning("joining anew", {{"why", why}});
  RD_CO_TRYV(check_bootstrap(options));
  RD_CO_TRY(client::Config config, bootstrap_config(options));
  config.user_agent = "redoubt/join";
  client::Client api(co_await boost::asio::this_coro::executor, config);
  CertificateWish wish;
  wish.signer = "kubernetes.io/kube-apiserver-client-kubelet";
  wish.subject = {"system:node:" + options.node_name, {"system:nodes"}};
  wish.usages = {"digital signature", "client auth"};
  auto given = co_await request_certificate(api, wish, kApprovalPatience);
  if (!given) {
    if (given.error().code() == 401) {
      std::string info = co_await read_cluster_info(config);
      co_return unauthorized(explain_refused_token(config.bearer_token, info));
    }
    co_return explain(given.error(), config);
  }
  NodeIdentity out;
  out.server = config.server;
  out.client = std::move(*given);
  if (config.ca_pem.empty()) {
    // The CA that was pinned, as the server itself shows it: from here on it is the only root.
    RD_CO_TRY(out.ca_pem, api.pinned_ca());
  } else {
    out.ca_pem = config.ca_pem;
  }
  RD_CO_TRYV(co_await run_blocking([&options, &out] { return save_identity(options, out); }));
  log_info("joined the cluster", {{"node", options.node_name}, {"server", out.server}, {"path", "kubelet-apiserver"}});
  co_return out;
}

}  // namespace redoubt::kubelet
