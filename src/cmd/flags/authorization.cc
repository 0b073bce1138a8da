#include "cmd/flags/authorization.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cmd/flags/flag_values.h"

namespace redoubt::cmd {

using Type = apiserver::AuthorizerConfig::Type;

void add_authorization_flags(CLI::App& command, AuthorizationFlags& f) {
  command
      .add_option("--authorization-mode", f.modes,
                  "who decides, in this order: Node, RBAC, Webhook, ABAC, AlwaysAllow, AlwaysDeny (default: Node,RBAC)")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_option("--authorization-policy-file", f.policy_file, "ABAC's policies, one JSON object a line");
  command.add_option("--authorization-webhook-config-file", f.webhook_config_file, "kubeconfig of the mode Webhook");
  command.add_option("--authorization-webhook-version", f.webhook_version, "of its SubjectAccessReviews")
      ->check(CLI::IsMember({"v1", "v1beta1"}))
      ->capture_default_str();
  command
      .add_option("--authorization-webhook-cache-authorized-ttl", f.webhook_cache_authorized_ttl,
                  "how long its yes is remembered")
      ->capture_default_str();
  command
      .add_option("--authorization-webhook-cache-unauthorized-ttl", f.webhook_cache_unauthorized_ttl,
                  "how long its no is remembered")
      ->capture_default_str();
  command.add_option("--authorization-config", f.authorization_config,
                     "AuthorizationConfiguration file, instead of the modes; read again when it changes");
}

Result<void> apply(const AuthorizationFlags& f, apiserver::ApiServerOptions& options) {
  auto& out = options.authorization;
  if (!f.policy_file.empty()) {
    RD_TRY(std::string text, read_flag_file("--authorization-policy-file", f.policy_file));
    auto policies = apiserver::AbacPolicies::parse(text);
    if (!policies) return wrong_flag("--authorization-policy-file", f.policy_file, policies.error());
    out.abac = *policies;
  }
  if (!f.authorization_config.empty()) {
    if (!f.modes.empty() || !f.webhook_config_file.empty())
      return bad_request(
          "--authorization-config excludes --authorization-mode and --authorization-webhook-config-file");
    RD_TRY(std::string text, read_flag_file("--authorization-config", f.authorization_config));
    auto chain = apiserver::parse_authorization_config(text, out.abac != nullptr);
    if (!chain) return wrong_flag("--authorization-config", f.authorization_config, chain.error());
    out.chain = std::move(*chain);
    out.config_file = f.authorization_config;
    return {};
  }
  std::vector<std::string> modes = f.modes.empty() ? std::vector<std::string>{"Node", "RBAC"} : f.modes;
  auto has = [&](const char* mode) { return std::find(modes.begin(), modes.end(), mode) != modes.end(); };
  if (has("ABAC") && f.policy_file.empty())
    return bad_request("--authorization-mode ABAC needs --authorization-policy-file");
  if (!has("ABAC") && !f.policy_file.empty())
    return bad_request("cannot specify --authorization-policy-file without mode ABAC");
  if (has("Webhook") && f.webhook_config_file.empty())
    return bad_request("--authorization-mode Webhook needs --authorization-webhook-config-file");
  if (!has("Webhook") && !f.webhook_config_file.empty())
    return bad_request("cannot specify --authorization-webhook-config-file without mode Webhook");
  out.chain.clear();
  for (const std::string& mode : modes) {
    auto type = apiserver::authorizer_type(mode);
    if (!type) return Error(type.error().with_context("--authorization-mode"));
    if (std::count(modes.begin(), modes.end(), mode) > 1)
      return bad_request(fmt::format("--authorization-mode {}: is specified more than once", mode));
    apiserver::AuthorizerConfig config{*type, mode, {}};
    if (*type == Type::Webhook) {
      config.webhook.kubeconfig = f.webhook_config_file;
      config.webhook.version = f.webhook_version;
      RD_TRY(auto yes, duration_flag("--authorization-webhook-cache-authorized-ttl", f.webhook_cache_authorized_ttl));
      RD_TRY(auto no,
             duration_flag("--authorization-webhook-cache-unauthorized-ttl", f.webhook_cache_unauthorized_ttl));
      config.webhook.authorized_ttl = std::chrono::duration_cast<std::chrono::milliseconds>(yes);
      config.webhook.unauthorized_ttl = std::chrono::duration_cast<std::chrono::milliseconds>(no);
    }
    out.chain.push_back(std::move(config));
  }
  return {};
}

}  // namespace redoubt::cmd
