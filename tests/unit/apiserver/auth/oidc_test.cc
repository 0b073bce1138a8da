#include "apiserver/auth/oidc.h"

#include <gtest/gtest.h>
#include <openssl/hmac.h>

#include "apiserver/auth/authenticator.h"
#include "base/encoding.h"
#include "https_peer.h"
#include "memory_store.h"
#include "pki/jwt.h"

using namespace redoubt;
using namespace redoubt::apiserver;

namespace {

struct OpenIdConnect : testing::Test {
  net::LoopPool loops{1, "auth"};
  MemoryStore store;
  std::vector<std::string> keys = {pki::generate_key()};
  std::string discovered_issuer;  // what the document says; default: the right one
  std::unique_ptr<HttpsPeer> issuer;
  std::unique_ptr<Authenticator> authenticator;

  void SetUp() override {
    issuer = std::make_unique<HttpsPeer>([this](const std::string& path, const std::string&) -> HttpsPeer::Answer {
      if (path == "/.well-known/openid-configuration") {
        std::string said = discovered_issuer.empty() ? issuer->url() : discovered_issuer;
        return {.body = R"({"issuer":")" + said + R"(","jwks_uri":")" + issuer->url() + R"(/keys"})"};
      }
      if (path == "/keys") return {.body = (*pki::TokenVerifier::from_pem(keys))->jwks()};
      return {.status = 404, .body = "{}"};
    });
  }
  void TearDown() override {
    run_on_loop(loops, [this] { return authenticator->stop(); });
    loops.stop();
  }
  JwtIssuer config() {
    JwtIssuer out;
    out.url = issuer->url();
    out.certificate_authority = issuer->ca_pem();
    out.audiences = {"redoubt", "other"};
    out.username_claim = "sub";
    out.username_prefix = "oidc:";
    out.groups_claim = "groups";
    out.groups_prefix = "g:";
    out.required_claims = {{"hd", "example.com"}};
    out.algorithms = all_signing_algorithms();
    return out;
  }
  void start(JwtIssuer issuer_config) {
    AuthenticatorOptions options;
    options.store = &store;
    options.jwt_issuers = {std::move(issuer_config)};
    authenticator = *Authenticator::make(std::move(options), loops.executor(0));
  }
  std::string claims(const std::string& change = "", const std::string& to = "") {
    std::string text = R"({"iss":")" + issuer->url() +
                       R"(","sub":"jane","aud":["redoubt"],"exp":99999999999,"nbf":1,)"
                       R"("groups":["a","b"],"hd":"example.com","jti":"id-1"})";
    if (!change.empty()) {
      EXPECT_NE(text.find(change), std::string::npos) << change;
      text.replace(text.find(change), change.size(), to);
    }
    return text;
  }
  std::string sign(const std::string& text, size_t key = 0) {
    return (*pki::TokenSigner::from_pem(keys[key]))->sign(text);
  }
  Result<Authentication> ask(const std::string& token) {
    return wait_for(authenticator->authenticate_token(token, {}));
  }
  std::string who(const std::string& token) {
    auto answer = ask(token);
    return answer ? answer->user.name : "401 " + answer.error().message();
  }
};

}  // namespace

TEST_F(OpenIdConnect, KnowsAUserByTheIssuersToken) {
  start(config());
  auto answer = ask(sign(claims()));
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->user.name, "oidc:jane");
  EXPECT_EQ(answer->user.groups, (std::vector<std::string>{"g:a", "g:b", "system:authenticated"}));
  EXPECT_EQ(answer->user.extra.at("authentication.kubernetes.io/credential-id"), std::vector<std::string>{"JTI=id-1"});
  EXPECT_EQ(who(sign(claims(R"(["a","b"])", R"("single")"))), "oidc:jane");
  EXPECT_EQ(issuer->hits("/keys"), 1);
}

TEST_F(OpenIdConnect, RefusesTokensThatAreNotQuiteRight) {
  start(config());
  ASSERT_EQ(who(sign(claims())), "oidc:jane");
  std::pair<const char*, const char*> changes[] = {
      {"99999999999", "1"},
      {R"("exp":99999999999,)", ""},
      {R"("nbf":1,)", R"("nbf":99999999998,)"},
      {"99999999999", "\"never\""},
      {R"(["redoubt"])", R"(["vault"])"},
      {R"(["redoubt"])", R"([])"},
      {R"("sub":"jane")", R"("sub":7)"},
      {R"("sub":"jane")", R"("sub":"")"},
      {R"("sub":"jane",)", ""},
      {R"("groups":["a","b"])", R"("groups":[7])"},
      {R"("groups":["a","b"])", R"("_claim_names":{"groups":"elsewhere"})"},
      {R"("hd":"example.com")", R"("hd":"example.org")"},
      {R"("hd":"example.com",)", ""},
      {R"("iss":"https)", R"("iss":"https://evil)"},
  };
  for (const auto& [change, to] : changes) EXPECT_TRUE(who(sign(claims(change, to))).starts_with("401")) << to;
}

TEST_F(OpenIdConnect, RefusesForgedTokens) {
  start(config());
  ASSERT_EQ(who(sign(claims())), "oidc:jane");
  std::string body = base64url_encode(claims());
  EXPECT_TRUE(who(base64url_encode(R"({"alg":"none"})") + "." + body + ".").starts_with("401"));
  // HMAC with what everybody knows, the public key.
  std::string text = base64url_encode(R"({"alg":"HS256"})") + "." + body, public_key = *pki::public_key_of(keys[0]);
  unsigned char mac[32];
  unsigned int size = sizeof mac;
  HMAC(EVP_sha256(), public_key.data(), static_cast<int>(public_key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size);
  EXPECT_TRUE(who(text + "." + base64url_encode({reinterpret_cast<char*>(mac), size})).starts_with("401"));
  EXPECT_TRUE(who((*pki::TokenSigner::from_pem(pki::generate_key()))->sign(claims())).starts_with("401"));
  EXPECT_TRUE(who(sign(claims("jane", std::string(20'000, 'j')))).starts_with("401"));
}

TEST_F(OpenIdConnect, FollowsTheIssuersKeys) {
  start(config());
  std::string old = sign(claims());
  ASSERT_EQ(who(old), "oidc:jane");
  {
    keys = {pki::generate_key()};  // the old one is gone
    EXPECT_EQ(who(sign(claims())), "oidc:jane");
  }
  EXPECT_TRUE(who(old).starts_with("401"));
}

TEST_F(OpenIdConnect, IsNotHammeredForUnknownKeys) {
  start(config());
  ASSERT_EQ(who(sign(claims())), "oidc:jane");
  for (int i = 0; i < 50; ++i) who((*pki::TokenSigner::from_pem(pki::generate_key()))->sign(claims()));
  EXPECT_LE(issuer->hits("/keys"), 8);
  EXPECT_EQ(who(sign(claims())), "oidc:jane");
}

TEST_F(OpenIdConnect, WantsAVerifiedAddress) {
  JwtIssuer by_mail = config();
  by_mail.username_claim = "email";
  by_mail.username_prefix = "";
  start(by_mail);
  auto with = [&](const std::string& more) {
    return sign(claims(R"("sub":"jane")", R"("email":"j@example.com")" + more));
  };
  EXPECT_EQ(who(with("")), "j@example.com");
  EXPECT_EQ(who(with(R"(,"email_verified":true)")), "j@example.com");
  EXPECT_EQ(who(with(R"(,"email_verified":false)")), "401 oidc: email not verified");
  EXPECT_EQ(who(with(R"(,"email_verified":"true")")), "401 oidc: email not verified");
}

TEST_F(OpenIdConnect, BelievesNoOtherServer) {
  JwtIssuer other = config();
  other.certificate_authority = pki::make_ca("stranger", std::chrono::hours(1))->certificate_pem;
  start(other);
  EXPECT_TRUE(who(sign(claims())).starts_with("401"));
  EXPECT_EQ(issuer->hits("/keys"), 0);
}

TEST_F(OpenIdConnect, BelievesNoDocumentOfAnotherIssuer) {
  discovered_issuer = "https://evil.example.com";
  start(config());
  EXPECT_TRUE(who(sign(claims())).starts_with("401"));
  EXPECT_EQ(issuer->hits("/keys"), 0);
}
