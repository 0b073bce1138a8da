#include "controllers/bootstrap/token_secret.h"

namespace redoubt::controllers {

std::optional<TokenSecret> read_token_secret(const k8s::core::v1::Secret& secret) {
  auto field = [&](const char* name) {
    auto it = secret.data.find(name);
    return it == secret.data.end() ? std::string() : it->second.bytes;
  };
  if (secret.type != kTokenSecretType ||
      (secret.metadata.deletionTimestamp && !secret.metadata.deletionTimestamp->is_zero()))
    return std::nullopt;
  auto token = pki::parse_bootstrap_token(field("token-id") + "." + field("token-secret"));
  if (!token || secret.metadata.name != "bootstrap-token-" + token->id) return std::nullopt;
  TokenSecret out;
  out.token = std::move(*token);
  out.signs = field("usage-bootstrap-signing") == "true";
  out.authenticates = field("usage-bootstrap-authentication") == "true";
  if (std::string text = field("expiration"); !text.empty()) out.ends = parse_rfc3339(text).value_or(Timestamp{});
  return out;
}

}  // namespace redoubt::controllers
