// A policy file of any bytes: no crash; what is taken decides about any request, and withholds what it should.
#include <cstdlib>
#include <string_view>

#include "apiserver/audit/policy.h"

using namespace redoubt::apiserver;
using namespace redoubt::apiserver::audit;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto policy = parse_policy(text);
  if (!policy) {
    if (policy.error().message().empty()) std::abort();
    return 0;
  }
  if (policy->rules.empty()) std::abort();
  UserInfo user;
  user.name = "ann";
  user.groups = {"dev"};
  for (const UserInfo* who : {static_cast<const UserInfo*>(nullptr), static_cast<const UserInfo*>(&user)}) {
    Subject secret{who, "get", true, "", "secrets", "", "default", "s", {}};
    Verdict verdict = evaluate(*policy, secret);
    // Bodies of a Secret come out only by a rule that says "secrets".
    if (verdict.level >= Level::Request && !verdict.bodies_withheld && text.find("secrets") == std::string_view::npos &&
        text.find('\\') == std::string_view::npos)
      std::abort();
    (void)evaluate(*policy, {who, "get", false, {}, {}, {}, {}, {}, "/healthz"});
  }
  return 0;
}
