// Bootstrap tokens, "abcdef.0123456789abcdef": an id that everybody may know and a secret, by which a node that has
// nothing yet proves itself, and by which it can tell the cluster's word from somebody else's (a detached JWS, HS256,
// over ConfigMap kube-public/cluster-info). Any thread.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace redoubt::pki {

struct BootstrapToken {
  std::string id;      // [a-z0-9]{6}
  std::string secret;  // [a-z0-9]{16}
  std::string text() const { return id + "." + secret; }
};

bool is_bootstrap_token_id(std::string_view text);
// Nothing for a text of another form.
std::optional<BootstrapToken> parse_bootstrap_token(std::string_view text);
BootstrapToken generate_bootstrap_token();

// "HEADER..SIGNATURE" (RFC 7515 appendix F), kid being the token's id, as kubeadm signs and verifies it.
std::string sign_detached(std::string_view content, const BootstrapToken& token);
bool verify_detached(std::string_view content, std::string_view signature, const BootstrapToken& token);

}  // namespace redoubt::pki
