#include "apiserver/auth/authenticator.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "memory_store.h"

using namespace redoubt;
using namespace redoubt::apiserver;

namespace {

constexpr const char* kIssuer = "https://kubernetes.default.svc.cluster.local";

std::string der_of(std::string_view pem) {
  std::string body(pem.substr(pem.find('\n') + 1));
  return *base64_decode(body.substr(0, body.find("-----END")));
}

pki::KeyPair client(const pki::KeyPair& ca, pki::Usage usage = pki::Usage::ClientAuth,
                    std::chrono::seconds lifetime = std::chrono::hours(1), const char* name = "jane") {
  pki::Template wanted;
  wanted.subject = {name, {"devs", "ops"}};
  wanted.usages = {usage};
  wanted.lifetime = lifetime;
  return *pki::issue(ca, wanted);
}

struct Authentication : testing::Test {
  MemoryStore store;
  pki::KeyPair ca = *pki::make_ca("kubernetes", std::chrono::hours(1));
  std::string key = pki::generate_key();
  std::shared_ptr<const pki::TokenSigner> signer = *pki::TokenSigner::from_pem(key);
  std::unique_ptr<Authenticator> authenticator;

  void SetUp() override {
    AuthenticatorOptions options;
    options.client_ca = *pki::TrustBundle::from_pem(ca.certificate_pem);
    options.service_account_keys = *pki::TokenVerifier::from_pem({key});
    options.service_account_signer = signer;
    options.store = &store;
    options.static_tokens = *parse_token_file("s3cret,carol,u-1,\"a,b\"\n");
    authenticator = std::make_unique<Authenticator>(std::move(options));
    store.put("serviceaccounts", R"({"metadata":{"name":"sa","namespace":"ns","uid":"sa-1"}})");
    store.put("pods", R"({"metadata":{"name":"web","namespace":"ns","uid":"pod-1"},"spec":{"nodeName":"n1"}})");
  }

  net::Request request(std::string path = "/api/v1/pods") {
    net::Request r;
    r.method = "GET";
    r.path = std::move(path);
    r.connection = std::make_shared<net::ConnectionInfo>();
    return r;
  }
  net::Request with_token(const std::string& token) {
    net::Request r = request();
    r.headers.add("authorization", "Bearer " + token);
    return r;
  }
  net::Request with_certificate(const pki::KeyPair& pair) {
    net::Request r = request();
    auto connection = std::make_shared<net::ConnectionInfo>();
    connection->peer_certificates = {der_of(pair.certificate_pem)};
    r.connection = connection;
    return r;
  }
  std::string who(const net::Request& r) {
    auto user = authenticator->authenticate(r);
    if (user) return user->name;
    EXPECT_EQ(user.error().code(), 401);
    return "401 " + user.error().message();
  }
  std::string token(std::function<void(TokenRequestSpec&)> change = [](TokenRequestSpec&) {}) {
    TokenRequestSpec spec;
    spec.namespace_ = "ns";
    spec.service_account = "sa";
    spec.service_account_uid = "sa-1";
    spec.bound_kind = "Pod";
    spec.bound_name = "web";
    spec.bound_uid = "pod-1";
    change(spec);
    return authenticator->issue_token(spec).first;
  }
  void bootstrap_secret(std::string more = "", std::string secret = "0123456789abcdef") {
    store.put("secrets", R"({"metadata":{"name":"bootstrap-token-abcdef","namespace":"kube-system"},)"
                         R"("type":"bootstrap.kubernetes.io/token","data":{"token-id":")" +
                             base64_encode("abcdef") + R"(","token-secret":")" + base64_encode(secret) + R"(")" + more +
                             "}}");
  }
};

std::string field(const char* name, const char* value) {
  return std::string(",\"") + name + "\":\"" + base64_encode(value) + "\"";
}

}  // namespace

TEST_F(Authentication, TakesNameAndGroupsFromACertificate) {
  auto user = authenticator->authenticate(with_certificate(client(ca)));
  ASSERT_TRUE(user);
  EXPECT_EQ(user->name, "jane");
  EXPECT_EQ(user->groups, (std::vector<std::string>{"devs", "ops", "system:authenticated"}));
}

TEST_F(Authentication, RefusesCertificatesThatProveNothing) {
  pki::KeyPair other = *pki::make_ca("kubernetes", std::chrono::hours(1));
  EXPECT_TRUE(who(with_certificate(client(other))).starts_with("401"));
  EXPECT_TRUE(who(with_certificate(client(ca, pki::Usage::ServerAuth))).starts_with("401"));
  EXPECT_TRUE(who(with_certificate(client(ca, pki::Usage::ClientAuth, std::chrono::seconds(-1)))).starts_with("401"));
  EXPECT_TRUE(who(with_certificate(client(ca, pki::Usage::ClientAuth, std::chrono::hours(1), ""))).starts_with("401"));
  // Also where anonymous requests would pass.
  auto r = with_certificate(client(other));
  r.path = "/readyz";
  EXPECT_TRUE(who(r).starts_with("401"));
}

TEST_F(Authentication, LetsNobodyInWithoutCredentialButForHealth) {
  for (const char* path : {"/livez", "/readyz", "/healthz"}) EXPECT_EQ(who(request(path)), "system:anonymous") << path;
  for (const char* path : {"/version", "/api", "/readyz/../api", "/metrics", "/readyzz", "/", "/openapi/v2"})
    EXPECT_TRUE(who(request(path)).starts_with("401")) << path;
  auto basic = request("/readyz");
  basic.headers.add("authorization", "Basic dTpw");
  EXPECT_TRUE(who(basic).starts_with("401"));
}

TEST_F(Authentication, KnowsAServiceAccountByItsToken) {
  auto user = authenticator->authenticate(with_token(token()));
  ASSERT_TRUE(user) << user.error().message();
  EXPECT_EQ(user->name, "system:serviceaccount:ns:sa");
  EXPECT_EQ(user->uid, "sa-1");
  EXPECT_EQ(user->groups,
            (std::vector<std::string>{"system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"}));
  EXPECT_EQ(user->extra["authentication.kubernetes.io/pod-name"], std::vector<std::string>{"web"});
  auto lower = request();
  lower.headers.add("authorization", "bearer " + token());
  EXPECT_EQ(who(lower), "system:serviceaccount:ns:sa");
}

TEST_F(Authentication, EndsATokenWithWhatItIsBoundTo) {
  std::string bound = token();
  EXPECT_EQ(who(with_token(bound)), "system:serviceaccount:ns:sa");
  store.remove("pods", "/registry/pods/ns/web");
  EXPECT_EQ(who(with_token(bound)), "401 the token's pod is gone");
  store.put("pods", R"({"metadata":{"name":"web","namespace":"ns","uid":"pod-2"}})");
  EXPECT_EQ(who(with_token(bound)), "401 the token's pod is gone");
  std::string unbound = token([](auto& spec) { spec.bound_kind.clear(); });
  EXPECT_EQ(who(with_token(unbound)), "system:serviceaccount:ns:sa");
  store.put("serviceaccounts",
            R"({"metadata":{"name":"sa","namespace":"ns","uid":"sa-1","deletionTimestamp":"2020-01-01T00:00:00Z"}})");
  EXPECT_EQ(who(with_token(unbound)), "401 the token's service account is gone");
}

TEST_F(Authentication, RefusesTokensForOthersAndOutOfTime) {
  EXPECT_EQ(who(with_token(token([](auto& spec) { spec.audiences = {"vault"}; }))),
            "401 the token is for another audience");
  EXPECT_EQ(who(with_token(token([](auto& spec) { spec.expiration_seconds = -1; }))), "401 the token has expired");
  auto crafted = [&](const std::string& iss, const std::string& sub, const std::string& nbf, const std::string& aud) {
    return signer->sign(R"({"iss":")" + iss + R"(","sub":")" + sub + R"(","exp":99999999999,"nbf":)" + nbf +
                        R"(,"aud":[")" + aud + R"("],"kubernetes.io":{"namespace":"ns","serviceaccount":)" +
                        R"({"name":"sa","uid":"sa-1"}}})");
  };
  std::string me = "system:serviceaccount:ns:sa";
  EXPECT_EQ(who(with_token(crafted(kIssuer, me, "0", kIssuer))), me);
  EXPECT_EQ(who(with_token(crafted("https://evil", me, "0", kIssuer))), "401 the token is another issuer's");
  EXPECT_EQ(who(with_token(crafted(kIssuer, "system:admin", "0", kIssuer))), "401 the token names no service account");
  EXPECT_EQ(who(with_token(crafted(kIssuer, me, "99999999998", kIssuer))), "401 the token is not valid yet");
}

TEST_F(Authentication, RefusesForgedTokens) {
  std::string good = token();
  std::string claims = good.substr(good.find('.') + 1);
  claims = claims.substr(0, claims.find('.'));
  std::string none = base64url_encode(R"({"alg":"none"})") + "." + claims + ".";
  EXPECT_TRUE(who(with_token(none)).starts_with("401"));
  std::string hmac = base64url_encode(R"({"alg":"HS256"})") + "." + claims + "." + base64url_encode("x");
  EXPECT_TRUE(who(with_token(hmac)).starts_with("401"));
  auto stranger = *pki::TokenSigner::from_pem(pki::generate_key());
  EXPECT_TRUE(who(with_token(stranger->sign(*base64url_decode(claims)))).starts_with("401"));
  EXPECT_TRUE(who(with_token(std::string(100'000, 'a') + ".b.c")).starts_with("401"));
  EXPECT_EQ(who(with_token(good)), "system:serviceaccount:ns:sa");
  std::string changed = good;
  changed[good.size() / 2] = changed[good.size() / 2] == 'A' ? 'B' : 'A';
  EXPECT_TRUE(who(with_token(changed)).starts_with("401"));
}

TEST_F(Authentication, TakesATokenFromAWebSocketsSubprotocols) {
  std::string encoded = "base64url.bearer.authorization.k8s.io." + base64url_encode(token());
  auto r = request();
  r.headers.add("sec-websocket-protocol", "v5.channel.k8s.io, " + encoded);
  EXPECT_EQ(who(r), "system:serviceaccount:ns:sa");
  auto alone = request();
  alone.headers.add("sec-websocket-protocol", encoded);
  EXPECT_TRUE(who(alone).starts_with("401"));
  auto twice = request();
  twice.headers.add("sec-websocket-protocol", "v5.channel.k8s.io, " + encoded + ", " + encoded);
  EXPECT_TRUE(who(twice).starts_with("401"));
}

TEST_F(Authentication, TakesBootstrapTokensWhileTheyLast) {
  std::string usage = field("usage-bootstrap-authentication", "true");
  bootstrap_secret(usage + field("auth-extra-groups", "system:bootstrappers:edge,system:masters"));
  auto user = authenticator->authenticate(with_token("abcdef.0123456789abcdef"));
  ASSERT_TRUE(user) << user.error().message();
  EXPECT_EQ(user->name, "system:bootstrap:abcdef");
  EXPECT_EQ(user->groups,
            (std::vector<std::string>{"system:bootstrappers", "system:bootstrappers:edge", "system:authenticated"}));
  EXPECT_EQ(who(with_token("abcdef.0123456789abcdee")), "401 wrong bootstrap token");
  EXPECT_EQ(who(with_token("abcdeg.0123456789abcdef")), "401 unknown bootstrap token");
  bootstrap_secret(usage + field("expiration", "2020-01-01T00:00:00Z"));
  EXPECT_EQ(who(with_token("abcdef.0123456789abcdef")), "401 the bootstrap token has expired");
  bootstrap_secret();
  EXPECT_EQ(who(with_token("abcdef.0123456789abcdef")), "401 the bootstrap token may not authenticate");
}

TEST_F(Authentication, TakesTokensOfTheStaticFile) {
  auto user = authenticator->authenticate(with_token("s3cret"));
  ASSERT_TRUE(user);
  EXPECT_EQ(user->name, "carol");
  EXPECT_EQ(user->groups, (std::vector<std::string>{"a", "b", "system:authenticated"}));
  EXPECT_FALSE(parse_token_file("only,two\n"));
  EXPECT_FALSE(parse_token_file("t,u,i,\"open\n"));
  EXPECT_EQ(parse_token_file("# a comment\n\nt,u,i\r\n")->size(), 1u);
}

TEST_F(Authentication, PrefersAValidCertificateAndFallsBackToTheToken) {
  auto both = with_certificate(client(ca));
  both.headers.add("authorization", "Bearer s3cret");
  EXPECT_EQ(who(both), "jane");
  auto expired = with_certificate(client(ca, pki::Usage::ClientAuth, std::chrono::seconds(-1)));
  expired.headers.add("authorization", "Bearer s3cret");
  EXPECT_EQ(who(expired), "carol");
}

TEST_F(Authentication, AnswersForTheAudienceThatIsAskedFor) {
  std::vector<std::string> matched;
  std::string vault = token([](auto& spec) { spec.audiences = {"vault", "other"}; });
  EXPECT_TRUE(authenticator->authenticate_token(vault, {"vault", "x"}, matched));
  EXPECT_EQ(matched, std::vector<std::string>{"vault"});
  matched.clear();
  EXPECT_FALSE(authenticator->authenticate_token("s3cret", {"vault"}, matched));
}
