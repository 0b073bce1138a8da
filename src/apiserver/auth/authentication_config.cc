#include "apiserver/auth/authentication_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "apiserver/auth/config_reader.h"
#include "apiserver/auth/https_caller.h"
#include "apiserver/auth/limits.h"
#include "pki/certificate.h"
#include "schema/value.h"

namespace redoubt::apiserver {

namespace {

using schema::Value;

constexpr std::string_view kNoCel = "CEL expressions are not supported: use claim and prefix, claim and requiredValue";

std::string_view without_slashes(std::string_view url) {
  while (url.ends_with('/')) url.remove_suffix(1);
  return url;
}

class Reader {
 public:
  Reader(const std::vector<std::string>& disallowed_issuers, ConfigProblems& problems)
      : disallowed_(disallowed_issuers), problems_(problems) {}

  JwtIssuer jwt(const Value& value, const std::string& path) {
    ConfigObject object(value, path, {"issuer", "claimValidationRules", "claimMappings", "userValidationRules"},
                        problems_);
    JwtIssuer out;
    out.algorithms = all_signing_algorithms();
    issuer(object.object("issuer"), object.path_of("issuer"), out);
    rules(object, out);
    mappings(object.object("claimMappings"), object.path_of("claimMappings"), out);
    if (!object.list("userValidationRules").empty())
      problems_.add(object.path_of("userValidationRules") + ": Forbidden: CEL expressions are not supported");
    return out;
  }

 private:
  void url(const std::string& text, const std::string& path) {
    if (auto parsed = parse_https_url(text); !parsed) problems_.invalid(path, text, parsed.error().message());
  }

  void issuer(const Value& value, const std::string& path, JwtIssuer& out) {
    ConfigObject object(
        value, path,
        {"url", "discoveryURL", "certificateAuthority", "audiences", "audienceMatchPolicy", "egressSelectorType"},
        problems_);
    out.url = object.text("url");
    if (out.url.empty()) {
      problems_.required(object.path_of("url"));
    } else {
      if (std::find(disallowed_.begin(), disallowed_.end(), out.url) != disallowed_.end())
        problems_.invalid(object.path_of("url"), out.url, "URL must not be an issuer of ServiceAccount tokens");
      url(out.url, object.path_of("url"));
      if (!urls_.insert(out.url).second) problems_.duplicate(object.path_of("url"), out.url);
    }
    out.discovery_url = object.text("discoveryURL");
    if (!out.discovery_url.empty()) {
      if (without_slashes(out.discovery_url) == without_slashes(out.url))
        problems_.invalid(object.path_of("discoveryURL"), out.discovery_url, "discoveryURL must be different from URL");
      url(out.discovery_url, object.path_of("discoveryURL"));
      if (!discovery_urls_.insert(out.discovery_url).second)
        problems_.duplicate(object.path_of("discoveryURL"), out.discovery_url);
    }
    out.certificate_authority = object.text("certificateAuthority");
    if (!out.certificate_authority.empty() && !pki::TrustBundle::from_pem(out.certificate_authority))
      problems_.invalid(object.path_of("certificateAuthority"), "<omitted>", "no PEM certificate is in it");
    out.audiences = object.texts("audiences");
    std::string audiences = object.path_of("audiences"), policy = object.text("audienceMatchPolicy");
    if (out.audiences.empty()) problems_.required(audiences, "at least one is required");
    std::set<std::string_view> seen;
    for (size_t i = 0; i < out.audiences.size(); ++i) {
      std::string item = fmt::format("{}[{}]", audiences, i);
      if (out.audiences[i].empty()) problems_.required(item);
      if (!seen.insert(out.audiences[i]).second) problems_.duplicate(item, out.audiences[i]);
    }
    if (policy != "MatchAny" && (out.audiences.size() > 1 || !policy.empty()))
      problems_.invalid(object.path_of("audienceMatchPolicy"), policy,
                        out.audiences.size() > 1 ? "audienceMatchPolicy must be MatchAny for multiple audiences"
                                                 : "audienceMatchPolicy must be empty or MatchAny for single audience");
    std::string egress = object.text("egressSelectorType");
    out.egress_cluster = egress == "cluster";
    if (!egress.empty() && egress != "cluster" && egress != "controlplane")
      problems_.invalid(object.path_of("egressSelectorType"), egress,
                        "egress selector must be either controlplane or cluster");
  }

  void rules(const ConfigObject& jwt, JwtIssuer& out) {
    std::set<std::string> seen;
    size_t i = 0;
    for (const Value& item : jwt.list("claimValidationRules")) {
      ConfigObject rule(item, fmt::format("{}[{}]", jwt.path_of("claimValidationRules"), i++),
                        {"claim", "requiredValue", "expression", "message"}, problems_);
      RequiredClaim wanted{rule.text("claim"), rule.text("requiredValue")};
      if (rule.has("expression")) {
        problems_.add(fmt::format("{}: Forbidden: {}", rule.path_of("expression"), kNoCel));
      } else if (wanted.claim.empty()) {
        problems_.required(rule.path(), "claim is required");
      } else if (!seen.insert(wanted.claim).second) {
        problems_.duplicate(rule.path_of("claim"), wanted.claim);
      }
      if (rule.has("message") && !rule.has("expression"))
        problems_.invalid(rule.path_of("message"), rule.text("message"), "may not be specified when claim is set");
      out.required_claims.push_back(std::move(wanted));
    }
  }

  // A claim with its prefix.
  void prefixed(const Value& value, const std::string& path, bool required, std::string& claim, std::string& prefix) {
    ConfigObject object(value, path, {"claim", "prefix", "expression"}, problems_);
    claim = object.text("claim");
    prefix = object.text("prefix");
    if (object.has("expression")) {
      problems_.add(fmt::format("{}: Forbidden: {}", object.path_of("expression"), kNoCel));
    } else if (claim.empty()) {
      if (required) problems_.required(path, "claim is required");
    } else if (!object.has("prefix")) {
      problems_.required(object.path_of("prefix"),
                         "prefix is required when claim is set. It can be set to an empty string to disable prefixing");
    }
  }

  void mappings(const Value& value, const std::string& path, JwtIssuer& out) {
    ConfigObject object(value, path, {"username", "groups", "uid", "extra"}, problems_);
    prefixed(object.object("username"), object.path_of("username"), true, out.username_claim, out.username_prefix);
    prefixed(object.object("groups"), object.path_of("groups"), false, out.groups_claim, out.groups_prefix);
    ConfigObject uid(object.object("uid"), object.path_of("uid"), {"claim", "expression"}, problems_);
    out.uid_claim = uid.text("claim");
    if (uid.has("expression")) problems_.add(fmt::format("{}: Forbidden: {}", uid.path_of("expression"), kNoCel));
    if (!object.list("extra").empty())
      problems_.add(object.path_of("extra") + ": Forbidden: CEL expressions are not supported");
  }

  const std::vector<std::string>& disallowed_;
  ConfigProblems& problems_;
  std::set<std::string> urls_, discovery_urls_;
};

AnonymousPolicy read_anonymous(const Value& value, ConfigProblems& problems) {
  ConfigObject object(value, "anonymous", {"enabled", "conditions"}, problems);
  AnonymousPolicy out;
  auto enabled = object.boolean("enabled");
  if (!enabled) problems.required("anonymous.enabled");
  out.enabled = enabled.value_or(false);
  size_t i = 0;
  for (const Value& item : object.list("conditions")) {
    ConfigObject condition(item, fmt::format("anonymous.conditions[{}]", i++), {"path"}, problems);
    out.paths.push_back(condition.text("path"));
    if (out.paths.back().empty()) problems.required(condition.path_of("path"));
  }
  if (!out.enabled && !out.paths.empty())
    problems.add("anonymous.conditions: Invalid value: enabled should be set to true when conditions are defined");
  out.every_path = out.enabled && out.paths.empty();
  return out;
}

}  // namespace

const std::vector<std::string>& all_signing_algorithms() {
  static const std::vector<std::string> kAll = {"RS256", "RS384", "RS512", "ES256", "ES384",
                                                "ES512", "PS256", "PS384", "PS512"};
  return kAll;
}

Result<AuthenticationConfig> parse_authentication_config(std::string_view text,
                                                         const std::vector<std::string>& disallowed_issuers) {
  schema::Arena arena;
  RD_TRY(Value root, parse_config(text, "apiserver.config.k8s.io", "AuthenticationConfiguration",
                                  {"v1", "v1beta1", "v1alpha1"}, arena));
  ConfigProblems problems;
  ConfigObject object(root, "", {"apiVersion", "kind", "jwt", "anonymous"}, problems);
  AuthenticationConfig out;
  auto issuers = object.list("jwt");
  if (issuers.size() > kMaxJwtIssuers)
    return bad_request(fmt::format("jwt: Too many: {}: must have at most {} items", issuers.size(), kMaxJwtIssuers));
  Reader reader(disallowed_issuers, problems);
  for (size_t i = 0; i < issuers.size(); ++i) out.jwt.push_back(reader.jwt(issuers[i], fmt::format("jwt[{}]", i)));
  if (object.has("anonymous")) out.anonymous = read_anonymous(object.object("anonymous"), problems);
  if (!problems.empty()) return problems.error();
  return out;
}

}  // namespace redoubt::apiserver
