// Tokens of a file that an administrator wrote (--token-auth-file): `token,user,uid,"group1,group2"` a line.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/auth/authentication.h"

namespace redoubt::apiserver {

struct StaticToken {
  std::string token;
  UserInfo user;
};
// BadRequest names the line.
Result<std::vector<StaticToken>> parse_token_file(std::string_view csv);

// Compares with every token, in a time that tells nothing of which one fits. Any thread.
class StaticTokens {
 public:
  StaticTokens(std::vector<StaticToken> tokens, std::vector<std::string> api_audiences)
      : tokens_(std::move(tokens)), api_audiences_(std::move(api_audiences)) {}
  Attempt authenticate(std::string_view token, const std::vector<std::string>& audiences) const;

 private:
  std::vector<StaticToken> tokens_;
  std::vector<std::string> api_audiences_;
};

}  // namespace redoubt::apiserver
