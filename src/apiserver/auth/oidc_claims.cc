#include "apiserver/auth/oidc_claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apiserver/auth/authentication.h"
#include "apiserver/auth/limits.h"

namespace redoubt::apiserver {

namespace {

using schema::Value;

// Claims of time are seconds, with a fraction if the issuer likes. Nothing for what is no number or absurd.
std::optional<Timestamp> time_of(const Value& claims, std::string_view name) {
  Value v = claims.get({name});
  if (!v.is_number()) return {};
  double seconds = v.as_double();
  if (!std::isfinite(seconds) || std::fabs(seconds) > 1e11) return {};
  return Timestamp(std::chrono::seconds(static_cast<int64_t>(seconds)));
}

Result<std::string> text_claim(const Value& claims, const std::string& name) {
  const Value* v = claims.find(name);
  if (v == nullptr) return unauthorized(fmt::format("oidc: claim {} is not present", name));
  if (!v->is_string()) return unauthorized(fmt::format("oidc: claim {} is no string", name));
  return std::string(v->as_string());
}

}  // namespace

Timestamp expiry_of(const Value& claims) {
  return time_of(claims, "exp").value_or(Timestamp{});
}

Result<void> check_claims(const JwtIssuer& issuer, const Value& claims, Timestamp present) {
  if (claims.get({"iss"}).as_string() != issuer.url) return unauthorized("oidc: the token is another issuer's");
  Value audience = claims.get({"aud"});
  auto is_meant = [&](std::string_view one) {
    return std::find(issuer.audiences.begin(), issuer.audiences.end(), one) != issuer.audiences.end();
  };
  bool meant = audience.is_string() && is_meant(audience.as_string());
  for (const Value& one : schema::items(audience)) meant = meant || is_meant(one.as_string());
  if (!meant) return unauthorized("oidc: the token is for another audience");
  auto expires = time_of(claims, "exp");
  if (!expires || *expires <= present) return unauthorized("oidc: token is expired");
  if (claims.has("nbf")) {
    auto not_before = time_of(claims, "nbf");
    if (!not_before || *not_before > present + kIssuerClockLeeway)
      return unauthorized("oidc: the token is not valid yet");
  }
  return {};
}

Result<UserInfo> user_of_claims(const JwtIssuer& issuer, const Value& claims) {
  UserInfo out;
  RD_TRY(std::string name, text_claim(claims, issuer.username_claim));
  if (name.empty()) return unauthorized(fmt::format("oidc: claim {} is empty", issuer.username_claim));
  // An address that nobody verified is whatever its owner typed.
  if (issuer.username_claim == "email") {
    if (const Value* verified = claims.find("email_verified"); verified != nullptr && !verified->as_bool())
      return unauthorized("oidc: email not verified");
  }
  out.name = issuer.username_prefix + name;
  if (!issuer.groups_claim.empty()) {
    if (const Value* groups = claims.find(issuer.groups_claim)) {
      auto add = [&](const Value& group) -> Result<void> {
        if (!group.is_string())
          return unauthorized(fmt::format("oidc: claim {} is no string or list of strings", issuer.groups_claim));
        out.groups.push_back(issuer.groups_prefix + std::string(group.as_string()));
        return {};
      };
      if (groups->is_array()) {
        for (const Value& group : schema::items(*groups)) RD_TRYV(add(group));
      } else {
        RD_TRYV(add(*groups));
      }
    } else if (claims.get({"_claim_names"}).has(issuer.groups_claim)) {
      return unauthorized("oidc: the groups are a distributed claim, which is not supported");
    }
  }
  if (!issuer.uid_claim.empty()) {
    RD_TRY(out.uid, text_claim(claims, issuer.uid_claim));
  }
  if (std::string_view id = claims.get({"jti"}).as_string(); !id.empty())
    out.extra[std::string(kCredentialId)] = {"JTI=" + std::string(id)};
  for (const RequiredClaim& required : issuer.required_claims) {
    RD_TRY(std::string value, text_claim(claims, required.claim));
    if (value != required.value)
      return unauthorized(fmt::format("oidc: required claim {} value does not match", required.claim));
  }
  return out;
}

}  // namespace redoubt::apiserver
