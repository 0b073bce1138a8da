#include "apiserver/auth/service_account_token.h"

#include <algorithm>

#include "apiserver/auth/limits.h"
#include "base/encoding.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/random.h"
#include "pki/jwks.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

namespace {

using schema::Arena;
using schema::Value;

constexpr std::string_view kLegacyIssuer = "kubernetes/serviceaccount";
constexpr std::string_view kInvalidSince = "kubernetes.io/legacy-token-invalid-since";
// What a kubelet asks for when the pod's author asked for nothing: such tokens may be extended.
constexpr int64_t kProjectedSeconds = 3607;
constexpr std::chrono::hours kExtendedLifetime{24 * 365};

int64_t to_seconds(Timestamp time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

// True while `object` backs tokens that name it with `uid`.
bool backs_tokens(const store::ObjectPtr& object, std::string_view uid) {
  if (!object || uid.empty() || object->uid != uid) return false;
  // Looked for as text first: nearly no object is being deleted, and reading each one whole for each request is dear.
  if (object->json.view().find("\"deletionTimestamp\":\"") == std::string_view::npos) return true;
  Arena arena;
  auto parsed = schema::parse_json(object->json.view(), arena);
  if (!parsed) return false;
  std::string_view deleted = parsed->get({"metadata", "deletionTimestamp"}).as_string();
  if (deleted.empty()) return true;
  auto time = parse_rfc3339(deleted);
  return time && *time + kDeletionLeeway > now();
}

std::string text(const Value& v, std::initializer_list<std::string_view> path) {
  return std::string(v.get(path).as_string());
}

}  // namespace

// What a ServiceAccount token says, once its signature is known to be right.
struct ServiceAccountTokens::Claims {
  struct Bound {
    std::string name, uid;
  };
  std::string issuer, subject, id, namespace_;
  int64_t expires = 0, not_before = 0;
  std::vector<std::string> audiences;
  Bound account, pod, secret, node;
};

Result<ServiceAccountTokens::ClaimsPtr> ServiceAccountTokens::verified_claims(std::string_view token,
                                                                              const std::string& digest) const {
  if (!options_.keys) return unauthorized("no key to verify tokens with");
  uint64_t generation = options_.keys->generation();
  RD_TRY(std::string json, options_.keys->verify(token));
  Arena arena;
  auto parsed = schema::parse_json(json, arena);
  if (!parsed || !parsed->is_object()) return unauthorized("the token's claims are unreadable");
  auto claims = std::make_shared<Claims>();
  claims->issuer = text(*parsed, {"iss"});
  claims->subject = text(*parsed, {"sub"});
  if (claims->issuer == kLegacyIssuer) {
    auto member = [&](const char* name) {
      return text(*parsed, {std::string("kubernetes.io/serviceaccount/") + name});
    };
    claims->namespace_ = member("namespace");
    claims->account = {member("service-account.name"), member("service-account.uid")};
    claims->secret.name = member("secret.name");
  } else {
    claims->id = text(*parsed, {"jti"});
    claims->expires = parsed->get({"exp"}).as_int();
    claims->not_before = parsed->get({"nbf"}).as_int();
    Value audiences = parsed->get({"aud"});
    if (audiences.is_string()) claims->audiences.emplace_back(audiences.as_string());
    for (const Value& one : schema::items(audiences)) claims->audiences.emplace_back(one.as_string());
    Value bound = parsed->get({"kubernetes.io"});
    claims->namespace_ = text(bound, {"namespace"});
    auto read = [&](const char* key, Claims::Bound& into) {
      into.name = text(bound, {key, "name"});
      into.uid = text(bound, {key, "uid"});
    };
    read("serviceaccount", claims->account);
    read("pod", claims->pod);
    read("secret", claims->secret);
    read("node", claims->node);
  }
  std::lock_guard lock(mutex_);
  if (generation != generation_) return claims;
  if (verified_.size() >= kMaxVerifiedTokens) verified_.clear();
  verified_[digest] = claims;
  return claims;
}

Result<Authentication> ServiceAccountTokens::check(const Claims& claims,
                                                   const std::vector<std::string>& audiences) const {
  int64_t present = to_seconds(now());
  if (claims.expires <= present) return unauthorized("the token has expired");
  if (claims.not_before > present + kClockLeeway.count()) return unauthorized("the token is not valid yet");
  Authentication out;
  RD_TRY(out.audiences, common_audiences(audiences, claims.audiences));
  const std::string& ns = claims.namespace_;
  UserInfo& user = out.user;
  user.name = fmt::format("system:serviceaccount:{}:{}", ns, claims.account.name);
  if (ns.empty() || claims.account.name.empty() || claims.subject != user.name)
    return unauthorized("the token names no service account");
  // Each thing the token names must still be there, and be the same one.
  auto backs = [&](const char* resource, const std::string& key, const Claims::Bound& bound) {
    return backs_tokens(store_.snapshot(resource)->find(key), bound.uid);
  };
  if (!backs("serviceaccounts", fmt::format("/registry/serviceaccounts/{}/{}", ns, claims.account.name),
             claims.account))
    return unauthorized("the token's service account is gone");
  user.uid = claims.account.uid;
  user.groups = {"system:serviceaccounts", "system:serviceaccounts:" + ns, std::string(kAuthenticated)};
  auto note = [&](const char* what, const std::string& value) {
    user.extra[std::string("authentication.kubernetes.io/") + what] = {value};
  };
  if (!claims.secret.name.empty() &&
      !backs("secrets", fmt::format("/registry/secrets/{}/{}", ns, claims.secret.name), claims.secret))
    return unauthorized("the token's secret is gone");
  if (!claims.pod.name.empty()) {
    if (!backs("pods", fmt::format("/registry/pods/{}/{}", ns, claims.pod.name), claims.pod))
      return unauthorized("the token's pod is gone");
    note("pod-name", claims.pod.name);
    note("pod-uid", claims.pod.uid);
  } else if (!claims.node.name.empty() && !backs("minions", "/registry/minions/" + claims.node.name, claims.node)) {
    return unauthorized("the token's node is gone");
  }
  if (!claims.node.name.empty()) {
    note("node-name", claims.node.name);
    if (!claims.node.uid.empty()) note("node-uid", claims.node.uid);
  }
  if (!claims.id.empty()) note("credential-id", "JTI=" + claims.id);
  return out;
}

// Tokens of Secrets: without an end of their own, they are good as long as their Secret holds exactly them.
Result<Authentication> ServiceAccountTokens::check_legacy(const Claims& claims, std::string_view token,
                                                          const std::vector<std::string>& audiences) const {
  Authentication out;
  RD_TRY(out.audiences, common_audiences(audiences, api_audiences_));
  const std::string& ns = claims.namespace_;
  out.user.name = fmt::format("system:serviceaccount:{}:{}", ns, claims.account.name);
  if (ns.empty() || claims.account.name.empty() || claims.secret.name.empty() || claims.subject != out.user.name)
    return unauthorized("the token names no service account and secret");
  auto account =
      store_.snapshot("serviceaccounts")->find(fmt::format("/registry/serviceaccounts/{}/{}", ns, claims.account.name));
  if (!backs_tokens(account, claims.account.uid)) return unauthorized("the token's service account is gone");
  auto secret = store_.snapshot("secrets")->find(fmt::format("/registry/secrets/{}/{}", ns, claims.secret.name));
  if (!secret || !backs_tokens(secret, secret->uid)) return unauthorized("the token's secret is gone");
  Arena arena;
  auto parsed = schema::parse_json(secret->json.view(), arena);
  if (!parsed) return unauthorized("the token's secret is unreadable");
  auto held = base64_decode(parsed->get({"data", "token"}).as_string());
  if (!held || !pki::equal_secrets(*held, token)) return unauthorized("the token is not the one in its secret");
  if (parsed->get({"metadata", "labels"}).has(kInvalidSince))
    return unauthorized(fmt::format("the token in secret {}/{} for service account {}/{} has been marked invalid", ns,
                                    claims.secret.name, ns, claims.account.name));
  out.user.uid = claims.account.uid;
  out.user.groups = {"system:serviceaccounts", "system:serviceaccounts:" + ns, std::string(kAuthenticated)};
  auto parsed_account = schema::parse_json(account->json.view(), arena);
  if (parsed_account) {
    for (const Value& ref : schema::items(parsed_account->get({"secrets"}))) {
      if (ref.get({"name"}).as_string() == claims.secret.name)
        out.warning =
            "Use tokens from the TokenRequest API or manually created secret-based tokens instead of auto-generated "
            "secret-based tokens.";
    }
  }
  log_debug("a token of a secret was used", {{"secret", ns + "/" + claims.secret.name}, {"user", out.user.name}});
  return out;
}

Attempt ServiceAccountTokens::authenticate(std::string_view token, const std::vector<std::string>& audiences) const {
  std::string digest = token_digest(token);
  ClaimsPtr claims;
  {
    std::lock_guard lock(mutex_);
    // Keys came or went: what a key that is gone has signed is no longer right.
    if (uint64_t there = options_.keys ? options_.keys->generation() : 0; there != generation_) {
      verified_.clear();
      generation_ = there;
    }
    if (auto it = verified_.find(digest); it != verified_.end()) claims = it->second;
  }
  if (!claims) {
    // Whose token it says it is decides who looks at it; whether that is true comes next.
    auto unverified = pki::unverified_claims(token);
    if (!unverified) return {};
    Arena arena;
    auto parsed = schema::parse_json(*unverified, arena);
    std::string_view issuer = parsed ? parsed->get({"iss"}).as_string() : std::string_view();
    const auto& issuers = options_.issuers;
    if (issuer != kLegacyIssuer && std::find(issuers.begin(), issuers.end(), issuer) == issuers.end()) return {};
    auto verified = verified_claims(token, digest);
    if (!verified) return Error(verified.error());
    claims = *verified;
  }
  return claims->issuer == kLegacyIssuer ? check_legacy(*claims, token, audiences) : check(*claims, audiences);
}

Result<std::pair<std::string, Timestamp>> ServiceAccountTokens::issue(const TokenRequestSpec& spec) const {
  if (!options_.signer) return service_unavailable("no key to sign ServiceAccount tokens with");
  Timestamp issued = std::chrono::floor<std::chrono::seconds>(now());
  std::chrono::seconds lifetime(spec.expiration_seconds);
  if (options_.max_expiration.count() > 0) lifetime = std::min(lifetime, options_.max_expiration);
  Timestamp expires = issued + lifetime;
  const auto& audiences = spec.audiences.empty() ? api_audiences_ : spec.audiences;
  bool for_api = common_audiences(audiences, api_audiences_).has_value();
  Timestamp warn_after{};
  if (options_.extend_expiration && spec.expiration_seconds == kProjectedSeconds && for_api &&
      spec.bound_kind == "Pod") {
    warn_after = expires;
    expires = issued + kExtendedLifetime;
  }
  std::string claims = "{\"aud\":[";
  for (size_t i = 0; i < audiences.size(); ++i) {
    if (i > 0) claims += ',';
    append_json_string(claims, audiences[i]);
  }
  auto object = [](std::string_view name, std::string_view uid) {
    std::string out = "{\"name\":";
    append_json_string(out, name);
    if (!uid.empty()) {
      out += ",\"uid\":";
      append_json_string(out, uid);
    }
    return out + "}";
  };
  claims += fmt::format("],\"exp\":{},\"iat\":{},\"iss\":", to_seconds(expires), to_seconds(issued));
  append_json_string(claims, options_.issuers.front());
  claims += fmt::format(",\"jti\":\"{}\",\"kubernetes.io\":{{\"namespace\":", random_uuid());
  append_json_string(claims, spec.namespace_);
  claims += ",\"serviceaccount\":" + object(spec.service_account, spec.service_account_uid);
  if (!spec.bound_kind.empty()) {
    std::string key = spec.bound_kind == "Pod" ? "pod" : spec.bound_kind == "Secret" ? "secret" : "node";
    claims += ",\"" + key + "\":" + object(spec.bound_name, spec.bound_uid);
    if (key == "pod" && !spec.node_name.empty()) claims += ",\"node\":" + object(spec.node_name, spec.node_uid);
  }
  if (warn_after != Timestamp{}) claims += fmt::format(",\"warnafter\":{}", to_seconds(warn_after));
  claims += fmt::format("}},\"nbf\":{},\"sub\":", to_seconds(issued));
  append_json_string(claims, fmt::format("system:serviceaccount:{}:{}", spec.namespace_, spec.service_account));
  claims += "}";
  return std::pair{options_.signer->sign(claims), warn_after != Timestamp{} ? warn_after : expires};
}

}  // namespace redoubt::apiserver
