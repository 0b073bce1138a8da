// What an authenticator says of a credential.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apiserver/auth/user.h"
#include "base/status.h"
#include "base/time.h"

namespace redoubt::apiserver {

struct Authentication {
  UserInfo user;
  std::vector<std::string> audiences;  // of those asked for, the ones that the token is for
  std::string warning;                 // for the client, in a Warning header; mostly empty
};

// Nothing: this is no credential of the authenticator's kind, the next one may look. An error: it is one, and wrong.
using Attempt = std::optional<Result<Authentication>>;

inline constexpr std::string_view kAuthenticated = "system:authenticated";
inline constexpr std::string_view kUnauthenticated = "system:unauthenticated";
inline constexpr std::string_view kAnonymous = "system:anonymous";

// The extra that names the credential, for audit logs.
inline constexpr std::string_view kCredentialId = "authentication.kubernetes.io/credential-id";

// Of `wanted`, those in `have`; an error that says so when none is.
Result<std::vector<std::string>> common_audiences(const std::vector<std::string>& wanted,
                                                  const std::vector<std::string>& have);
// The text without blanks around it.
std::string_view trimmed(std::string_view text);
// A key for what is remembered of a token: its SHA-256. The token itself is never kept.
std::string token_digest(std::string_view token);

}  // namespace redoubt::apiserver
