// Tokens that let a machine ask for its first certificate: Secrets of type bootstrap.kubernetes.io/token in
// kube-system, named bootstrap-token-ID. Any thread.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/auth/authentication.h"
#include "store/store.h"

namespace redoubt::apiserver {

inline constexpr std::string_view kBootstrapGroup = "system:bootstrappers";

class BootstrapTokens {
 public:
  BootstrapTokens(const store::Store& store, std::vector<std::string> api_audiences)
      : store_(store), api_audiences_(std::move(api_audiences)) {}
  // Nothing for a text of another form, or an id that no Secret has.
  Attempt authenticate(std::string_view token, const std::vector<std::string>& audiences) const;

 private:
  Result<UserInfo> check(std::string_view id, std::string_view secret, const store::Object& object) const;
  const store::Store& store_;
  std::vector<std::string> api_audiences_;
};

}  // namespace redoubt::apiserver
