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

struct Credentials : testing::Test {
  MemoryStore store;
  pki::KeyPair ca = *pki::make_ca("kubernetes", std::chrono::hours(1));
  std::string key = pki::generate_key();
  std::shared_ptr<const pki::TokenSigner> signer = *pki::TokenSigner::from_pem(key);
  std::unique_ptr<Authenticator> authenticator;

  void SetUp() override {
    AuthenticatorOptions options;
    options.client_ca = *pki::TrustBundle::from_pem(ca.certificate_pem);
    options.service_accounts.keys = *pki::TokenVerifier::from_pem({key});
    options.service_accounts.signer = signer;
    options.store = &store;
    options.static_tokens = *parse_token_file("s3cret,carol,u-1,\"a,b\"\n");
    authenticator = *Authenticator::make(std::move(options), {});
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
  // Nobody has to be asked here.
  Result<UserInfo> authenticate(const net::Request& r) {
    auto answer = authenticator->authenticate(r);
    EXPECT_TRUE(answer.is_here());
    if (!answer.value()) return Error(answer.value().error());
    return answer.value()->user;
  }
  std::string who(const net::Request& r) {
    auto user = authenticate(r);
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
    return authenticator->service_accounts().issue(spec)->first;
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

TEST_F(Credentials, TakesNameAndGroupsFromACertificate) {
  auto user = authenticate(with_certificate(client(ca)));
  ASSERT_TRUE(user);
  EXPECT_EQ(user->name, "jane");
  EXPECT_EQ(user->groups, (std::vector<std::string>{"devs", "ops", "system:authenticated"}));
}

TEST_F(Credentials, RefusesCertificatesThatProveNothing) {
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

TEST_F(Credentials, LetsNobodyInWithoutCredentialButForHealth) {
  for (const char* path : {"/livez", "/readyz", "/healthz"}) EXPECT_EQ(who(request(path)), "system:anonymous") << path;
  for (const char* path : {"/version", "/api", "/readyz/../api", "/metrics", "/readyzz", "/", "/openapi/v2"})
    EXPECT_TRUE(who(request(path)).starts_with("401")) << path;
  auto basic = request("/readyz");
  basic.headers.add("authorization", "Basic dTpw");
  EXPECT_TRUE(who(basic).starts_with("401"));
}

TEST_F(Credentials, KnowsAServiceAccountByItsToken) {
  auto user = authenticate(with_token(token()));
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

TEST_F(Credentials, EndsATokenWithWhatItIsBoundTo) {
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

TEST_F(Credentials, RefusesTokensForOthersAndOutOfTime) {
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
  EXPECT_EQ(who(with_token(crafted("https://evil", me, "0", kIssuer))),
            "401 the token is of no kind that is known here");
  EXPECT_EQ(who(with_token(crafted(kIssuer, "system:admin", "0", kIssuer))), "401 the token names no service account");
  EXPECT_EQ(who(with_token(crafted(kIssuer, me, "99999999998", kIssuer))), "401 the token is not valid yet");
}

TEST_F(Credentials, RefusesForgedTokens) {
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

TEST_F(Credentials, TakesATokenFromAWebSocketsSubprotocols) {
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

TEST_F(Credentials, TakesBootstrapTokensWhileTheyLast) {
  std::string usage = field("usage-bootstrap-authentication", "true");
  bootstrap_secret(usage + field("auth-extra-groups", "system:bootstrappers:edge,system:bootstrappers:edge"));
  auto user = authenticate(with_token("abcdef.0123456789abcdef"));
  ASSERT_TRUE(user) << user.error().message();
  EXPECT_EQ(user->name, "system:bootstrap:abcdef");
  EXPECT_EQ(user->groups,
            (std::vector<std::string>{"system:bootstrappers", "system:bootstrappers:edge", "system:authenticated"}));
  EXPECT_EQ(who(with_token("abcdef.0123456789abcdee")), "401 wrong bootstrap token");
  EXPECT_EQ(who(with_token("abcdeg.0123456789abcdef")), "401 the token is of no kind that is known here");
  bootstrap_secret(usage + field("expiration", "2020-01-01T00:00:00Z"));
  EXPECT_EQ(who(with_token("abcdef.0123456789abcdef")), "401 the bootstrap token has expired");
  bootstrap_secret(usage + field("auth-extra-groups", "system:bootstrappers:edge,system:masters"));
  EXPECT_EQ(who(with_token("abcdef.0123456789abcdef")), "401 the bootstrap token's auth-extra-groups are malformed");
  bootstrap_secret();
  EXPECT_EQ(who(with_token("abcdef.0123456789abcdef")), "401 the bootstrap token may not authenticate");
  bootstrap_secret(usage);
  EXPECT_EQ(who(with_token("abcdef.0123456789abcdef")), "system:bootstrap:abcdef");
  store.remove("secrets", "/registry/secrets/kube-system/bootstrap-token-abcdef");
  EXPECT_TRUE(who(with_token("abcdef.0123456789abcdef")).starts_with("401"));
}

TEST_F(Credentials, TakesTokensOfTheStaticFile) {
  auto user = authenticate(with_token("s3cret"));
  ASSERT_TRUE(user);
  EXPECT_EQ(user->name, "carol");
  EXPECT_EQ(user->groups, (std::vector<std::string>{"a", "b", "system:authenticated"}));
  EXPECT_FALSE(parse_token_file("only,two\n"));
  EXPECT_FALSE(parse_token_file("t,u,i,\"open\n"));
  EXPECT_EQ(parse_token_file("# a comment\n\nt,u,i\r\n")->size(), 1u);
}

TEST_F(Credentials, PrefersAValidCertificateAndFallsBackToTheToken) {
  auto both = with_certificate(client(ca));
  both.headers.add("authorization", "Bearer s3cret");
  EXPECT_EQ(who(both), "jane");
  auto expired = with_certificate(client(ca, pki::Usage::ClientAuth, std::chrono::seconds(-1)));
  expired.headers.add("authorization", "Bearer s3cret");
  EXPECT_EQ(who(expired), "carol");
}

TEST_F(Credentials, AnswersForTheAudienceThatIsAskedFor) {
  std::string vault = token([](auto& spec) { spec.audiences = {"vault", "other"}; });
  auto answer = authenticator->authenticate_token(vault, {"vault", "x"});
  ASSERT_TRUE(answer.value());
  EXPECT_EQ(answer.value()->audiences, std::vector<std::string>{"vault"});
  EXPECT_FALSE(authenticator->authenticate_token("s3cret", {"vault"}).value());
}

TEST_F(Credentials, TakesTheUidFromACertificate) {
  auto with_uids = [&](std::vector<std::string> uids) {
    pki::Template wanted;
    wanted.subject = {"jane", {"devs"}, std::move(uids)};
    wanted.usages = {pki::Usage::ClientAuth};
    return *pki::issue(ca, wanted);
  };
  EXPECT_EQ(authenticate(with_certificate(with_uids({"4711"})))->uid, "4711");
  EXPECT_EQ(authenticate(with_certificate(with_uids({})))->uid, "");
  EXPECT_TRUE(who(with_certificate(with_uids({"1", "2"}))).starts_with("401"));
}

TEST_F(Credentials, TakesCredentialsOffTheRequest) {
  auto r = with_token("s3cret");
  r.headers.add("sec-websocket-protocol", "v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.czNjcmV0");
  for (const char* name : {"x-remote-user", "x-remote-group", "x-remote-extra-scopes", "x-remote-uid"})
    r.headers.add(name, "root");
  authenticator->clear_credentials(r.headers);
  EXPECT_EQ(r.headers.size(), 1u);
  EXPECT_EQ(r.headers.get("sec-websocket-protocol"), "v5.channel.k8s.io");
}

TEST_F(Credentials, KeepsOldTokensOfSecretsWhileTheSecretHoldsThem) {
  auto legacy = signer->sign(
      R"({"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:ns:sa","kubernetes.io/serviceaccount/namespace":"ns",)"
      R"("kubernetes.io/serviceaccount/secret.name":"sa-token","kubernetes.io/serviceaccount/service-account.name":"sa",)"
      R"("kubernetes.io/serviceaccount/service-account.uid":"sa-1"})");
  EXPECT_EQ(who(with_token(legacy)), "401 the token's secret is gone");
  auto secret = [&](const std::string& holds, const std::string& labels = "{}") {
    store.put("secrets", R"({"metadata":{"name":"sa-token","namespace":"ns","uid":"s-1","labels":)" + labels +
                             R"(},"data":{"token":")" + base64_encode(holds) + R"("}})");
  };
  secret(legacy);
  EXPECT_EQ(who(with_token(legacy)), "system:serviceaccount:ns:sa");
  secret("another");
  EXPECT_EQ(who(with_token(legacy)), "401 the token is not the one in its secret");
  secret(legacy, R"({"kubernetes.io/legacy-token-invalid-since":"2026-01-01"})");
  EXPECT_TRUE(who(with_token(legacy)).find("marked invalid") != std::string::npos);
  secret(legacy);
  store.put("serviceaccounts",
            R"({"metadata":{"name":"sa","namespace":"ns","uid":"sa-1"},"secrets":[{"name":"sa-token"}]})");
  auto warned = authenticator->authenticate(with_token(legacy));
  EXPECT_NE(warned.value()->warning, "");
}

TEST_F(Credentials, AcceptsTokensOfEachOfItsKeysAndIssuers) {
  std::string other_key = pki::generate_key();
  AuthenticatorOptions options;
  options.service_accounts.keys = *pki::TokenVerifier::from_pem({other_key, key});
  options.service_accounts.signer = *pki::TokenSigner::from_pem(other_key);
  options.service_accounts.issuers = {"https://new", kIssuer};
  options.service_accounts.max_expiration = std::chrono::seconds(3600);
  options.api_audiences = {"https://new", kIssuer};
  options.store = &store;
  std::string old = token();
  authenticator = *Authenticator::make(std::move(options), {});
  EXPECT_EQ(who(with_token(old)), "system:serviceaccount:ns:sa");
  EXPECT_EQ(who(with_token(token())), "system:serviceaccount:ns:sa");
  TokenRequestSpec spec;
  spec.namespace_ = "ns";
  spec.service_account = "sa";
  spec.service_account_uid = "sa-1";
  spec.expiration_seconds = 86400;
  EXPECT_LE(authenticator->service_accounts().issue(spec)->second, now() + std::chrono::seconds(3601));
}
