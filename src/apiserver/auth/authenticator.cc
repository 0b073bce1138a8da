#include "apiserver/auth/authenticator.h"

#include <openssl/sha.h>

#include <algorithm>
#include <cctype>

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

// Verified tokens remembered; about 700 bytes each. Beyond it the memory starts afresh.
constexpr size_t kMaxVerifiedTokens = 4096;
// How long an object that is being deleted still backs its tokens after its time, so that containers can finish.
constexpr std::chrono::seconds kDeletionLeeway{60};
constexpr int64_t kClockLeewaySeconds = 5;

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

bool equal_without_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

std::string_view bearer_token(const net::Request& request, std::string& storage) {
  if (auto header = request.headers.get("authorization")) {
    std::string_view text = trim(*header);
    size_t blank = text.find(' ');
    if (blank == std::string_view::npos || !equal_without_case(text.substr(0, blank), "bearer")) return {};
    return trim(text.substr(blank + 1));
  }
  // Browsers can't set headers on a WebSocket: the token rides as a subprotocol, besides the one that is spoken.
  constexpr std::string_view kPrefix = "base64url.bearer.authorization.k8s.io.";
  bool other = false;
  for (std::string_view field : request.headers.get_all("sec-websocket-protocol")) {
    while (!field.empty()) {
      size_t comma = field.find(',');
      std::string_view one = trim(field.substr(0, comma));
      field = comma == std::string_view::npos ? std::string_view() : field.substr(comma + 1);
      if (!one.starts_with(kPrefix)) {
        other = other || !one.empty();
      } else if (!storage.empty()) {
        return {};  // two tokens: which one is meant?
      } else {
        storage = base64url_decode(one.substr(kPrefix.size())).value_or("");
      }
    }
  }
  return other ? std::string_view(storage) : std::string_view();
}

// [a-z0-9]{6}.[a-z0-9]{16}
bool is_bootstrap_token(std::string_view token) {
  if (token.size() != 23 || token[6] != '.') return false;
  for (size_t i = 0; i < token.size(); ++i) {
    char c = token[i];
    if (i != 6 && !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) return false;
  }
  return true;
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
struct Authenticator::Claims {
  struct Bound {
    std::string name, uid;
  };
  std::string issuer, subject, id, namespace_;
  int64_t expires = 0, not_before = 0;
  std::vector<std::string> audiences;
  Bound account, pod, secret, node;
};

Result<std::shared_ptr<const Authenticator::Claims>> Authenticator::verified_claims(std::string_view token) const {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  {
    std::lock_guard lock(mutex_);
    if (auto it = verified_.find(digest); it != verified_.end()) return it->second;
  }
  if (!options_.service_account_keys) return unauthorized("no key to verify tokens with");
  RD_TRY(std::string json, options_.service_account_keys->verify(token));
  Arena arena;
  auto parsed = schema::parse_json(json, arena);
  if (!parsed || !parsed->is_object()) return unauthorized("the token's claims are unreadable");
  auto claims = std::make_shared<Claims>();
  claims->issuer = text(*parsed, {"iss"});
  claims->subject = text(*parsed, {"sub"});
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
  std::lock_guard lock(mutex_);
  if (verified_.size() >= kMaxVerifiedTokens) verified_.clear();
  verified_[digest] = claims;
  return claims;
}

Result<UserInfo> Authenticator::by_certificate(const net::ConnectionInfo& connection) const {
  if (!options_.client_ca) return unauthorized("no authority for client certificates is configured");
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
  RD_TRY(auto claims, verified_claims(token));
  if (claims->issuer != options_.service_account_issuer) return unauthorized("the token is another issuer's");
  int64_t present = std::chrono::duration_cast<std::chrono::seconds>(now().time_since_epoch()).count();
  if (claims->expires <= present) return unauthorized("the token has expired");
  if (claims->not_before > present + kClockLeewaySeconds) return unauthorized("the token is not valid yet");
  for (const std::string& wanted : audiences.empty() ? options_.api_audiences : audiences) {
    if (std::find(claims->audiences.begin(), claims->audiences.end(), wanted) != claims->audiences.end())
      matched.push_back(wanted);
  }
  if (matched.empty()) return unauthorized("the token is for another audience");

  const std::string& ns = claims->namespace_;
  UserInfo user;
  user.name = fmt::format("system:serviceaccount:{}:{}", ns, claims->account.name);
  if (ns.empty() || claims->account.name.empty() || claims->subject != user.name)
    return unauthorized("the token names no service account");
  // Each thing the token names must still be there, and be the same one.
  auto backs = [&](const char* resource, const std::string& key, const Claims::Bound& bound) {
    return backs_tokens(options_.store->snapshot(resource)->find(key), bound.uid);
  };
  if (!backs("serviceaccounts", fmt::format("/registry/serviceaccounts/{}/{}", ns, claims->account.name),
             claims->account))
    return unauthorized("the token's service account is gone");
  user.uid = claims->account.uid;
  user.groups = {"system:serviceaccounts", "system:serviceaccounts:" + ns, std::string(kAuthenticated)};
  auto note = [&](const char* what, const std::string& value) {
    user.extra[std::string("authentication.kubernetes.io/") + what] = {value};
  };
  if (!claims->secret.name.empty() &&
      !backs("secrets", fmt::format("/registry/secrets/{}/{}", ns, claims->secret.name), claims->secret))
    return unauthorized("the token's secret is gone");
  if (!claims->pod.name.empty()) {
    if (!backs("pods", fmt::format("/registry/pods/{}/{}", ns, claims->pod.name), claims->pod))
      return unauthorized("the token's pod is gone");
    note("pod-name", claims->pod.name);
    note("pod-uid", claims->pod.uid);
  } else if (!claims->node.name.empty() && !backs("minions", "/registry/minions/" + claims->node.name, claims->node)) {
    return unauthorized("the token's node is gone");
  }
  if (!claims->node.name.empty()) {
    note("node-name", claims->node.name);
    if (!claims->node.uid.empty()) note("node-uid", claims->node.uid);
  }
  if (!claims->id.empty()) note("credential-id", "JTI=" + claims->id);
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
  // Tokens without audiences of their own are for the API server.
  auto match_own = [&] {
    for (const std::string& own : options_.api_audiences) {
      if (audiences.empty() || std::find(audiences.begin(), audiences.end(), own) != audiences.end())
        matched.push_back(own);
    }
    return !matched.empty();
  };
  const StaticToken* known = nullptr;
  for (const StaticToken& one : options_.static_tokens) {
    if (pki::equal_secrets(one.token, token)) known = &one;  // no early end: the time tells nothing of the place
  }
  if (known != nullptr) {
    if (!match_own()) return unauthorized("the token is for another audience");
    return known->user;
  }
  if (is_bootstrap_token(token)) {
    if (!match_own()) return unauthorized("the token is for another audience");
    return by_bootstrap_token(token);
  }
  return by_service_account_token(token, audiences, matched);
}

Result<UserInfo> Authenticator::authenticate(const net::Request& request) const {
  bool certificate = request.connection && !request.connection->peer_certificates.empty();
  Result<UserInfo> by_certificate_result = unauthorized();
  if (certificate) {
    by_certificate_result = by_certificate(*request.connection);
    if (by_certificate_result) return by_certificate_result;
  }
  std::string storage;
  std::string_view token = bearer_token(request, storage);
  if (!token.empty()) {
    std::vector<std::string> matched;
    return authenticate_token(token, {}, matched);
  }
  if (certificate) return by_certificate_result;
  if (request.headers.has("authorization")) return unauthorized("an Authorization header that is no bearer token");
  if (std::find(options_.anonymous_paths.begin(), options_.anonymous_paths.end(), request.path) !=
      options_.anonymous_paths.end())
    return UserInfo{"system:anonymous", "", {"system:unauthenticated"}, {}};
  return unauthorized();
}

Result<std::vector<StaticToken>> parse_token_file(std::string_view csv) {
  std::vector<StaticToken> out;
  size_t number = 0;
  while (!csv.empty()) {
    size_t end = csv.find('\n');
    std::string_view line = csv.substr(0, end);
    csv = end == std::string_view::npos ? std::string_view() : csv.substr(end + 1);
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (trim(line).empty() || line.starts_with('#')) continue;
    // Cells, of which one may be quoted to hold commas; a quote in it is written twice.
    std::vector<std::string> cells(1);
    bool quoted = false;
    for (size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"') {
        cells.back() += '"';
        ++i;
      } else if (line[i] == '"') {
        quoted = !quoted;
      } else if (line[i] == ',' && !quoted) {
        cells.emplace_back();
      } else {
        cells.back() += line[i];
      }
    }
    if (quoted || cells.size() < 3 || trim(cells[0]).empty() || trim(cells[1]).empty())
      return bad_request(fmt::format("token file, line {}: token,user,uid[,\"group,group\"] is wanted", number));
    StaticToken entry;
    entry.token = trim(cells[0]);
    entry.user.name = trim(cells[1]);
    entry.user.uid = trim(cells[2]);
    std::string_view groups = cells.size() > 3 ? std::string_view(cells[3]) : std::string_view();
    while (!groups.empty()) {
      size_t comma = groups.find(',');
      if (std::string_view group = trim(groups.substr(0, comma)); !group.empty()) entry.user.groups.emplace_back(group);
      groups = comma == std::string_view::npos ? std::string_view() : groups.substr(comma + 1);
    }
    entry.user.groups.emplace_back(kAuthenticated);
    out.push_back(std::move(entry));
  }
  return out;
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
