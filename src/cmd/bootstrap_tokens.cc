#include "cmd/bootstrap_tokens.h"

#include "base/time.h"
#include "pki/certificate.h"

namespace redoubt::cmd {

Result<void> check_token_options(const BootstrapTokenOptions& options) {
  for (const std::string& usage : options.usages) {
    if (usage != "signing" && usage != "authentication")
      return bad_request(fmt::format("--usages: \"{}\" is unknown: signing and authentication are meant", usage));
  }
  if (options.usages.empty()) return bad_request("--usages: a token without usages does nothing");
  constexpr std::string_view kPrefix = "system:bootstrappers:";
  for (const std::string& group : options.groups) {
    std::string_view rest = std::string_view(group).substr(std::min(group.size(), kPrefix.size()));
    // Upstream's pattern: system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]
    if (!group.starts_with(kPrefix) || rest.empty() || rest.size() > 256 || rest.ends_with(':') ||
        rest.ends_with('-') || rest.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789:-") != std::string::npos)
      return bad_request(fmt::format(
          "--groups: \"{}\" is not allowed: system:bootstrappers: and lower-case letters, digits, - and : are meant",
          group));
  }
  return {};
}

k8s::core::v1::Secret bootstrap_token_secret(const pki::BootstrapToken& token, const BootstrapTokenOptions& options) {
  k8s::core::v1::Secret secret;
  secret.metadata.name = "bootstrap-token-" + token.id;
  secret.metadata.namespace_ = "kube-system";
  secret.type = "bootstrap.kubernetes.io/token";
  secret.data["token-id"].bytes = token.id;
  secret.data["token-secret"].bytes = token.secret;
  for (const std::string& usage : options.usages) secret.data["usage-bootstrap-" + usage].bytes = "true";
  if (options.ttl.count() > 0) secret.data["expiration"].bytes = format_rfc3339(now() + options.ttl);
  if (!options.description.empty()) secret.data["description"].bytes = options.description;
  if (!options.groups.empty())
    secret.data["auth-extra-groups"].bytes = fmt::format("{}", fmt::join(options.groups, ","));
  return secret;
}

std::string join_line(const std::string& server, const std::string& token, std::string_view ca_bundle) {
  std::string out = fmt::format("redoubt join {} --token {}", server, token);
  for (const pki::Certificate& ca : pki::parse_certificates(ca_bundle))
    out += " --discovery-token-ca-cert-hash " + ca.spki_hash;
  return out;
}

}  // namespace redoubt::cmd
