#include "apiserver/auth/authenticator.h"

#include "base/encoding.h"
#include "base/json_text.h"
#include "base/random.h"
#include "schema/codec.h"
#include "schema/k8s/core_v1.h"

namespace redoubt::apiserver {

namespace {

using schema::Arena;
using schema::Value;

constexpr std::string_view kAuthenticated = "system:authenticated";

// What a connection's certificates proved, kept with the connection.
struct CertificateUser {
  Result<UserInfo> user;
  Timestamp not_after{};
};

std::string_view bearer_token(const net::Request& request, std::string& storage) {
  if (auto header = request.headers.get("authorization")) {
    constexpr std::string_view kBearer = "Bearer ";
    if (header->size() > kBearer.size() && header->starts_with(kBearer)) return header->substr(kBearer.size());
    return {};
  }
  // Browsers can't set headers on a WebSocket: the token rides as a subprotocol.
  constexpr std::string_view kPrefix = "base64url.bearer.authorization.k8s.io.";
  if (auto protocols = request.headers.get("sec-websocket-protocol")) {
    size_t at = protocols->find(kPrefix);
    if (at != std::string_view::npos) {
      std::string_view encoded = protocols->substr(at + kPrefix.size());
      encoded = encoded.substr(0, encoded.find_first_of(", "));
      storage = base64url_decode(encoded).value_or("");
      return storage;
    }
  }
  return {};
}

std::string text(const Value& v, std::initializer_list<std::string_view> path) {
  return std::string(v.get(path).as_string());
}

}  // namespace

Result<UserInfo> Authenticator::by_certificate(const net::ConnectionInfo& connection) const {
  auto cached = std::static_pointer_cast<const CertificateUser>(connection.authentication_cache);
  if (!cached) {
    auto made = std::make_shared<CertificateUser>();
    auto certificate = options_.client_ca->verify(connection.peer_certificates, pki::Usage::ClientAuth);
    if (!certificate) {
      made->user = Error(certificate.error());
    } else if (certificate->subject.common_name.empty()) {
      made->user = unauthorized("the client certificate has no common name");
    } else {
      UserInfo user;
      user.name = certificate->subject.common_name;
      user.groups = certificate->subject.organizations;
      user.groups.emplace_back(kAuthenticated);
      user.extra["authentication.kubernetes.io/credential-id"] = {"X509SHA256=" + certificate->fingerprint_sha256};
      made->user = std::move(user);
      made->not_after = certificate->not_after;
    }
    connection.authentication_cache = made;
    cached = made;
  }
  if (cached->user && cached->not_after < now())
    return unauthorized("x509: certificate has expired or is not yet valid");
  return cached->user;
}

Result<UserInfo> Authenticator::by_service_account_token(std::string_view token,
                                                         const std::vector<std::string>& audiences,
                                                         std::vector<std::string>& matched) const {
  RD_TRY(std::string claims_json, options_.service_account_keys->verify(token));
  Arena arena;
  auto parsed = schema::parse_json(claims_json, arena);
  if (!parsed) return unauthorized("the token's claims are unreadable");
  const Value& claims = *parsed;
  if (claims.get({"iss"}).as_string() != options_.service_account_issuer)
    return unauthorized("the token is another issuer's");
  int64_t present = std::chrono::duration_cast<std::chrono::seconds>(now().time_since_epoch()).count();
  if (claims.get({"exp"}).as_int() <= present) return unauthorized("the token has expired");
  if (claims.get({"nbf"}).as_int() > present + 5) return unauthorized("the token is not valid yet");
  Value aud = claims.get({"aud"});
  auto has_audience = [&](const std::string& wanted) {
    if (aud.is_string()) return aud.as_string() == wanted;
    for (const Value& one : schema::items(aud)) {
      if (one.as_string() == wanted) return true;
    }
    return false;
  };
  for (const std::string& audience : audiences.empty() ? options_.api_audiences : audiences) {
    if (has_audience(audience)) matched.push_back(audience);
  }
  if (matched.empty()) return unauthorized("the token is for another audience");

  Value bound = claims.get({"kubernetes.io"});
  std::string ns = text(bound, {"namespace"});
  std::string name = text(bound, {"serviceaccount", "name"});
  std::string uid = text(bound, {"serviceaccount", "uid"});
  // Each thing the token names must still be there, and be the same one.
  auto exists = [&](const char* resource, const std::string& key, std::string_view wanted_uid) {
    auto object = options_.store->snapshot(resource)->find(key);
    return object && object->uid == wanted_uid;
  };
  if (!exists("serviceaccounts", fmt::format("/registry/serviceaccounts/{}/{}", ns, name), uid))
    return unauthorized("the token's service account is gone");
  UserInfo user;
  user.name = fmt::format("system:serviceaccount:{}:{}", ns, name);
  user.uid = uid;
  user.groups = {"system:serviceaccounts", "system:serviceaccounts:" + ns, std::string(kAuthenticated)};
  if (Value pod = bound.get({"pod"}); pod.is_object()) {
    std::string pod_name = text(pod, {"name"});
    if (!exists("pods", fmt::format("/registry/pods/{}/{}", ns, pod_name), pod.get({"uid"}).as_string()))
      return unauthorized("the token's pod is gone");
    user.extra["authentication.kubernetes.io/pod-name"] = {pod_name};
    user.extra["authentication.kubernetes.io/pod-uid"] = {text(pod, {"uid"})};
    if (Value node = bound.get({"node"}); node.is_object()) {
      user.extra["authentication.kubernetes.io/node-name"] = {text(node, {"name"})};
      user.extra["authentication.kubernetes.io/node-uid"] = {text(node, {"uid"})};
    }
  } else if (Value secret = bound.get({"secret"}); secret.is_object()) {
    if (!exists("secrets", fmt::format("/registry/secrets/{}/{}", ns, text(secret, {"name"})),
                secret.get({"uid"}).as_string())) {
      return unauthorized("the token's secret is gone");
    }
  } else if (Value node = bound.get({"node"}); node.is_object()) {
    if (!exists("minions", "/registry/minions/" + text(node, {"name"}), node.get({"uid"}).as_string()))
      return unauthorized("the token's node is gone");
  }
  user.extra["authentication.kubernetes.io/credential-id"] = {"JTI=" + text(claims, {"jti"})};
  return user;
}

Result<UserInfo> Authenticator::by_bootstrap_token(std::string_view token) const {
  std::string_view id = token.substr(0, 6), secret = token.substr(7);
  auto object =
      options_.store->snapshot("secrets")->find(fmt::format("/registry/secrets/kube-system/bootstrap-token-{}", id));
  if (!object) return unauthorized("unknown bootstrap token");
  auto stored = schema::from_json<k8s::core::v1::Secret>(object->json);
  if (!stored || stored->type != "bootstrap.kubernetes.io/token" ||
      !(!stored->metadata.deletionTimestamp || stored->metadata.deletionTimestamp->is_zero())) {
    return unauthorized("unknown bootstrap token");
  }
  auto field = [&](const char* name) {
    auto it = stored->data.find(name);
    return it == stored->data.end() ? std::string() : it->second.bytes;
  };
  if (!pki::equal_secrets(field("token-secret"), secret) || field("token-id") != id)
    return unauthorized("wrong bootstrap token");
  if (std::string expiration = field("expiration"); !expiration.empty()) {
    auto end = parse_rfc3339(expiration);
    if (!end || *end < now()) return unauthorized("the bootstrap token has expired");
  }
  if (field("usage-bootstrap-authentication") != "true")
    return unauthorized("the bootstrap token may not authenticate");
  UserInfo user;
  user.name = fmt::format("system:bootstrap:{}", id);
  user.groups = {std::string(kBootstrapGroup)};
  std::string extra = field("auth-extra-groups");
  while (!extra.empty()) {
    size_t comma = extra.find(',');
    std::string group = extra.substr(0, comma);
    if (group.starts_with("system:bootstrappers:")) user.groups.push_back(group);
    extra = comma == std::string::npos ? "" : extra.substr(comma + 1);
  }
  user.groups.emplace_back(kAuthenticated);
  return user;
}

Result<UserInfo> Authenticator::authenticate_token(std::string_view token, const std::vector<std::string>& audiences,
                                                   std::vector<std::string>& matched) const {
  if (token.size() == 23 && token[6] == '.') {
    matched = audiences;
    return by_bootstrap_token(token);
  }
  return by_service_account_token(token, audiences, matched);
}

Result<UserInfo> Authenticator::authenticate(const net::Request& request) const {
  std::string storage;
  std::string_view token = bearer_token(request, storage);
  if (!token.empty()) {
    std::vector<std::string> matched;
    return authenticate_token(token, {}, matched);
  }
  if (request.headers.has("authorization")) return unauthorized();
  if (request.connection && !request.connection->peer_certificates.empty()) return by_certificate(*request.connection);
  for (const std::string& path : options_.anonymous_paths) {
    if (request.path == path ||
        (request.path.size() > path.size() && request.path.starts_with(path) && request.path[path.size()] == '/')) {
      return UserInfo{"system:anonymous", "", {"system:unauthenticated"}, {}};
    }
  }
  return unauthorized();
}

std::pair<std::string, Timestamp> Authenticator::issue_token(const TokenRequestSpec& spec) const {
  Timestamp issued = std::chrono::floor<std::chrono::seconds>(now());
  Timestamp expires = issued + std::chrono::seconds(spec.expiration_seconds);
  auto seconds = [](Timestamp t) {
    return std::chrono::duration_cast<std::chrono::seconds>(t.time_since_epoch()).count();
  };
  std::string claims = "{\"aud\":[";
  const auto& audiences = spec.audiences.empty() ? options_.api_audiences : spec.audiences;
  for (size_t i = 0; i < audiences.size(); ++i) {
    if (i > 0) claims += ',';
    append_json_string(claims, audiences[i]);
  }
  auto object = [](std::string_view name, std::string_view uid) {
    std::string out = "{\"name\":";
    append_json_string(out, name);
    out += ",\"uid\":";
    append_json_string(out, uid);
    return out + "}";
  };
  claims += fmt::format("],\"exp\":{},\"iat\":{},\"iss\":", seconds(expires), seconds(issued));
  append_json_string(claims, options_.service_account_issuer);
  claims += fmt::format(",\"jti\":\"{}\",\"kubernetes.io\":{{\"namespace\":", random_uuid());
  append_json_string(claims, spec.namespace_);
  claims += ",\"serviceaccount\":" + object(spec.service_account, spec.service_account_uid);
  if (!spec.bound_kind.empty()) {
    std::string key = spec.bound_kind == "Pod" ? "pod" : spec.bound_kind == "Secret" ? "secret" : "node";
    claims += ",\"" + key + "\":" + object(spec.bound_name, spec.bound_uid);
    if (key == "pod" && !spec.node_name.empty()) claims += ",\"node\":" + object(spec.node_name, spec.node_uid);
  }
  claims += fmt::format("}},\"nbf\":{},\"sub\":", seconds(issued));
  append_json_string(claims, fmt::format("system:serviceaccount:{}:{}", spec.namespace_, spec.service_account));
  claims += "}";
  return {options_.service_account_signer->sign(claims), expires};
}

}  // namespace redoubt::apiserver
