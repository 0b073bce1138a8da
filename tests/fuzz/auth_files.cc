// An AuthenticationConfiguration, AuthorizationConfiguration, policy or token file of any bytes: no crash, and what is
// accepted holds what its parser promises.
#include <cstdlib>
#include <string_view>

#include "apiserver/auth/abac.h"
#include "apiserver/auth/authentication_config.h"
#include "apiserver/auth/authorization_config.h"
#include "apiserver/auth/token_file.h"

using namespace redoubt::apiserver;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto config = parse_authentication_config(text, {"https://own"})) {
    for (const JwtIssuer& jwt : config->jwt) {
      if (!jwt.url.starts_with("https://") || jwt.url == "https://own") std::abort();
      if (jwt.audiences.empty() || jwt.username_claim.empty()) std::abort();
    }
  }
  if (auto config = parse_authorization_config(text, false)) {
    if (config->empty()) std::abort();
    for (const AuthorizerConfig& one : *config) {
      if (one.name.empty() || one.type == AuthorizerConfig::Type::Abac) std::abort();
    }
  }
  if (auto policies = AbacPolicies::parse(text)) {
    // No file opens anything to nobody.
    UserInfo nobody{"system:anonymous", "", {}, {}};
    Attributes a;
    a.verb = "get";
    a.resource = "secrets";
    if (text.find("system:anonymous") == std::string_view::npos && text.find('\\') == std::string_view::npos &&
        (*policies)->authorize(nobody, a).allowed)
      std::abort();
  }
  (void)parse_token_file(text);
  return 0;
}
