#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/encoding.h"
#include "net/loop.h"
#include "net/tls.h"
#include "pki/certificate.h"
#include "pki/cluster_pki.h"
#include "pki/jwt.h"

using namespace redoubt;
using namespace redoubt::pki;

namespace {

std::string der_of(std::string_view pem) {
  std::string body(pem.substr(pem.find('\n') + 1));
  return *base64_decode(body.substr(0, body.find("-----END")));
}

KeyPair leaf(const KeyPair& ca, const char* name, Usage usage, std::chrono::seconds lifetime = std::chrono::hours(1)) {
  Template wanted;
  wanted.subject = {name, {"group-a", "group-b"}};
  wanted.dns_names = {"server.example"};
  wanted.ip_addresses = {"127.0.0.1"};
  wanted.usages = {usage};
  wanted.lifetime = lifetime;
  return *issue(ca, wanted);
}

// What a TLS client says of a server. `shown`: what the server got to see of the client, or why it didn't.
std::string connect(const KeyPair& server, net::TlsClientContext::Options options, std::string host,
                    std::string* shown = nullptr) {
  std::string outcome;
  if (shown != nullptr) shown->clear();
  net::run_until_done([&]() -> Task<void> {
    return [](KeyPair s, net::TlsClientContext::Options o, std::string h, std::string& out,
              std::string* seen) -> Task<void> {
      auto executor = co_await boost::asio::this_coro::executor;
      auto [a, b] = net::make_pipe(executor);
      net::TlsServerContext::Options so;
      so.certificate_pem = s.certificate_pem;
      so.private_key_pem = s.private_key_pem;
      if (seen != nullptr) so.client_ca_hint_pem = s.certificate_pem;  // asks for a client's certificate
      auto server_context = *net::TlsServerContext::make(so);
      auto client_context = *net::TlsClientContext::make(o);
      Scope scope(executor);
      scope.spawn([](net::StreamPtr stream, std::shared_ptr<net::TlsServerContext> c, std::string* seen) -> Task<void> {
        auto accepted = co_await net::tls_accept(std::move(stream), c);
        if (seen != nullptr)
          *seen = accepted ? fmt::format("{} certificates", accepted->peer.certificates_der.size())
                           : accepted.error().message();
        char byte;
        if (accepted) co_await accepted->stream->read_some({&byte, 1});
      }(std::move(a), server_context, seen));
      auto connected = co_await net::tls_connect(std::move(b), client_context, h);
      out = connected ? "ok" : connected.error().message();
      for (int i = 0; seen != nullptr && seen->empty() && i < 1000; ++i)
        co_await sleep_for(std::chrono::milliseconds(1));
      connected = service_unavailable("done");
      co_await scope.join();
    }(server, options, host, outcome, shown);
  });
  return outcome;
}

}  // namespace

TEST(Certificates, NamesLongerThanSixtyFourCharactersStayWhole) {
  KeyPair ca = *make_ca("test-ca", std::chrono::hours(24));
  const std::string node = "system:node:" + std::string(253, 'n');
  KeyPair made = leaf(ca, node.c_str(), Usage::ServerAuth);
  auto read = parse_certificate(made.certificate_pem);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->subject.common_name, node);
  net::TlsClientContext::Options options;
  options.ca_pem = ca.certificate_pem;
  options.required_common_name = node;
  EXPECT_EQ(connect(made, options, "server.example"), "ok");
}

TEST(Certificates, CarryWhatWasAsked) {
  KeyPair ca = *make_ca("test-ca", std::chrono::hours(1));
  auto certificate = parse_certificate(leaf(ca, "somebody", Usage::ClientAuth).certificate_pem);
  ASSERT_TRUE(certificate);
  EXPECT_EQ(certificate->subject.common_name, "somebody");
  EXPECT_EQ(certificate->subject.organizations, (std::vector<std::string>{"group-a", "group-b"}));
  EXPECT_EQ(certificate->dns_names, std::vector<std::string>{"server.example"});
  EXPECT_EQ(certificate->ip_addresses, std::vector<std::string>{"127.0.0.1"});
  EXPECT_FALSE(certificate->is_ca);
  EXPECT_TRUE(parse_certificate(ca.certificate_pem)->is_ca);
}

TEST(Tls, AServerThatIsRefusedSeesNoCertificateOfTheClient) {
  KeyPair ca = *make_ca("test-ca", std::chrono::hours(1)), other = *make_ca("other-ca", std::chrono::hours(1));
  KeyPair client = leaf(ca, "system:node:n1", Usage::ClientAuth);
  net::TlsClientContext::Options options;
  options.ca_pem = ca.certificate_pem;
  options.certificate_pem = client.certificate_pem;
  options.private_key_pem = client.private_key_pem;
  std::string shown;
  EXPECT_EQ(connect(leaf(ca, "server", Usage::ServerAuth), options, "server.example", &shown), "ok");
  EXPECT_EQ(shown, "1 certificates");
  EXPECT_NE(
      connect(leaf(other, "server", Usage::ServerAuth), options, "server.example", &shown).find("unknown authority"),
      std::string::npos);
  EXPECT_NE(shown.find("alert"), std::string::npos) << shown;
  EXPECT_NE(
      connect(leaf(ca, "server", Usage::ServerAuth), options, "another.example", &shown).find("not another.example"),
      std::string::npos);
  EXPECT_NE(shown.find("alert"), std::string::npos) << shown;
}

TEST(TrustBundle, VerifiesIssuerUseAndTime) {
  KeyPair ca = *make_ca("test-ca", std::chrono::hours(1));
  KeyPair other = *make_ca("test-ca", std::chrono::hours(1));
  auto bundle = *TrustBundle::from_pem(ca.certificate_pem);
  auto verify = [&](const KeyPair& pair, Usage usage) {
    std::vector<std::string> chain{der_of(pair.certificate_pem)};
    auto result = bundle->verify(chain, usage);
    return result ? "ok" : result.error().message();
  };
  EXPECT_EQ(verify(leaf(ca, "x", Usage::ClientAuth), Usage::ClientAuth), "ok");
  EXPECT_EQ(verify(leaf(other, "x", Usage::ClientAuth), Usage::ClientAuth),
            "x509: certificate signed by unknown authority");
  EXPECT_EQ(verify(leaf(ca, "x", Usage::ServerAuth), Usage::ClientAuth),
            "x509: certificate specifies an incompatible key usage");
  EXPECT_EQ(verify(leaf(ca, "x", Usage::ClientAuth, std::chrono::seconds(-1)), Usage::ClientAuth),
            "x509: certificate has expired or is not yet valid");
}

TEST(Tls, RefusesServersThatAreNotTheOneMeant) {
  KeyPair ca = *make_ca("test-ca", std::chrono::hours(1));
  KeyPair other = *make_ca("other-ca", std::chrono::hours(1));
  KeyPair server = leaf(ca, "system:node:n1", Usage::ServerAuth);
  net::TlsClientContext::Options options;
  options.ca_pem = ca.certificate_pem;
  EXPECT_EQ(connect(server, options, "server.example"), "ok");
  EXPECT_EQ(connect(server, options, "127.0.0.1"), "ok");
  EXPECT_EQ(
      connect(server, options, "evil.example"),
      "tls: failed to verify certificate: x509: certificate is valid for server.example, 127.0.0.1, not evil.example");
  EXPECT_EQ(connect(leaf(other, "x", Usage::ServerAuth), options, "server.example"),
            "tls: failed to verify certificate: x509: certificate signed by unknown authority");
  EXPECT_NE(connect(leaf(ca, "x", Usage::ClientAuth), options, "server.example"), "ok");
  EXPECT_EQ(connect(leaf(ca, "x", Usage::ServerAuth, std::chrono::seconds(-1)), options, "server.example"),
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid");
  options.required_common_name = "system:node:n1";
  EXPECT_EQ(connect(server, options, "10.0.0.1"), "ok");
  options.required_common_name = "system:node:n2";
  EXPECT_NE(connect(server, options, "server.example").find("not for \"system:node:n2\""), std::string::npos);
  net::TlsClientContext::Options pinned;
  pinned.pinned_ca_hashes = {parse_certificate(ca.certificate_pem)->spki_hash};
  KeyPair with_chain = server;
  with_chain.certificate_pem += ca.certificate_pem;
  EXPECT_EQ(connect(with_chain, pinned, "server.example"), "ok");
  pinned.pinned_ca_hashes = {parse_certificate(other.certificate_pem)->spki_hash};
  EXPECT_NE(connect(with_chain, pinned, "server.example").find("pinned hash"), std::string::npos);
}

TEST(Requests, AreSignedForTheirKeyOnly) {
  KeyPair ca = *make_ca("test-ca", std::chrono::hours(1));
  std::string key = generate_key();
  std::string csr = *make_request(key, {"system:node:n1", {"system:nodes"}}, {"n1"}, {"10.0.0.1"});
  auto request = parse_request(csr);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->subject.common_name, "system:node:n1");
  EXPECT_EQ(request->dns_names, std::vector<std::string>{"n1"});
  EXPECT_EQ(request->ip_addresses, std::vector<std::string>{"10.0.0.1"});
  EXPECT_TRUE(sign_request(ca, csr, Template{.subject = request->subject, .usages = {Usage::ClientAuth}}));
  EXPECT_FALSE(parse_request("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"));
}

TEST(Tokens, VerifyOnlyUntouched) {
  std::string key = generate_key();
  auto signer = *TokenSigner::from_pem(key);
  auto verifier = *TokenVerifier::from_pem({key});
  std::string token = signer->sign(R"({"sub":"me"})");
  EXPECT_EQ(*verifier->verify(token), R"({"sub":"me"})");
  std::string none = base64url_encode(R"({"alg":"none"})") + "." + base64url_encode(R"({"sub":"me"})") + ".";
  EXPECT_FALSE(verifier->verify(none));
  for (size_t i = 0; i < token.size(); i += 7) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(verifier->verify(changed)) << i;
  }
  EXPECT_FALSE((*TokenVerifier::from_pem({generate_key()}))->verify(token));
  EXPECT_NE(verifier->jwks().find("\"kty\":\"EC\""), std::string::npos);
}

TEST(Tokens, AreVerifiedByTheKeysOwnAlgorithm) {
  std::string key = generate_key();
  auto signer = *TokenSigner::from_pem(key);
  auto verifier = *TokenVerifier::from_pem({key});
  std::string token = signer->sign("{}");
  std::string tail = token.substr(token.find('.'));
  for (const char* header : {R"({"alg":"none","x":{"alg":"ES256"}})", R"({"alg":"HS256"})", R"({"alg":"RS256"})",
                             R"({"alg":"ES256","crit":["x"]})", R"([])", R"({"alg":1})", "alg"}) {
    EXPECT_FALSE(verifier->verify(base64url_encode(header) + tail)) << header;
  }
  // A public key as an HMAC secret is the classic confusion: there is no HMAC at all.
  std::string text = base64url_encode(R"({"alg":"HS256","typ":"JWT"})") + "." + base64url_encode("{}");
  EXPECT_FALSE(verifier->verify(text + "." + base64url_encode(std::string(32, 'x'))));
  for (const char* broken : {"", ".", "..", "a.b", "a.b.c.d", "e30.e30.", "...."})
    EXPECT_FALSE(verifier->verify(broken));
}

TEST(Tokens, OfSeveralKeysAreAllTaken) {
  std::string old_key = generate_key(), new_key = generate_key();
  auto verifier = *TokenVerifier::from_pem({*public_key_of(new_key), *public_key_of(old_key)});
  EXPECT_TRUE(verifier->verify((*TokenSigner::from_pem(old_key))->sign("{}")));
  EXPECT_TRUE(verifier->verify((*TokenSigner::from_pem(new_key))->sign("{}")));
}

TEST(ClusterPki, LeavesFollowTheirAuthorityAndHalfAPairIsKept) {
  std::string folder = std::filesystem::temp_directory_path() / fmt::format("pki-test-{}", ::getpid());
  std::filesystem::remove_all(folder);
  ClusterPkiOptions options{folder, {}, {"10.96.0.1"}};
  auto first = ensure_cluster_pki(options);
  ASSERT_TRUE(first);
  KeyPair other = *make_ca("kubernetes", std::chrono::hours(24 * 365));
  ASSERT_TRUE(write_file(folder + "/ca.crt", other.certificate_pem));
  auto mixed = ensure_cluster_pki(options);
  ASSERT_FALSE(mixed);
  EXPECT_NE(mixed.error().message().find("ca.crt"), std::string::npos);
  ASSERT_TRUE(write_file(folder + "/ca.key", other.private_key_pem));
  auto second = ensure_cluster_pki(options);
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_TRUE(is_signed_by(second->apiserver.certificate_pem, other.certificate_pem));
  EXPECT_FALSE(is_signed_by(first->apiserver.certificate_pem, other.certificate_pem));
  std::filesystem::remove(folder + "/ca.key");
  EXPECT_FALSE(ensure_cluster_pki(options));
  EXPECT_EQ(*read_file(folder + "/ca.crt"), other.certificate_pem);
  std::filesystem::remove_all(folder);
}

TEST(ClusterPki, IsMadeOnceAndKept) {
  std::string folder = std::filesystem::temp_directory_path() / "pki-test";
  std::filesystem::remove_all(folder);
  ClusterPkiOptions options{folder, {}, {"10.96.0.1"}};
  auto first = ensure_cluster_pki(options);
  ASSERT_TRUE(first) << first.error().message();
  auto second = ensure_cluster_pki(options);
  EXPECT_EQ(first->apiserver.certificate_pem, second->apiserver.certificate_pem);
  options.apiserver_ip_addresses.push_back("192.0.2.9");
  auto third = ensure_cluster_pki(options);
  EXPECT_NE(first->apiserver.certificate_pem, third->apiserver.certificate_pem);
  EXPECT_EQ(first->ca.certificate_pem, third->ca.certificate_pem);
  struct stat status{};
  ASSERT_EQ(::stat((folder + "/ca.key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  std::filesystem::remove_all(folder);
}
