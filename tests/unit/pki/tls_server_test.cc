// The server's side of TLS with real certificates and another implementation's view of it: OpenSSL's own client on a
// socket.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>

#include "net/http_server.h"
#include "net/loop.h"
#include "net/tls.h"
#include "pki/certificate.h"

using namespace redoubt;
using namespace redoubt::pki;

namespace {

using Session = std::shared_ptr<SSL_SESSION>;

struct Seen {
  bool connected = false;
  bool resumed = false;
  std::string body, common_name, version;
  Session session;
};

struct Wish {
  std::string server_name;
  int version = 0;  // exactly this; 0: any
  Session session;
  bool certificate = false;
};

KeyPair server_certificate(const KeyPair& ca, const std::string& name) {
  Template wanted;
  wanted.subject = {name, {}};
  wanted.dns_names = {name};
  wanted.usages = {Usage::ServerAuth};
  return *issue(ca, wanted);
}

class TlsServer : public testing::Test {
 protected:
  TlsServer() {
    options_.certificate_pem = server_certificate(ca_, "default.example").certificate_pem;
    KeyPair pair = server_certificate(ca_, "default.example");
    options_.certificate_pem = pair.certificate_pem;
    options_.private_key_pem = pair.private_key_pem;
    Template wanted;
    wanted.subject = {"client", {}};
    wanted.usages = {Usage::ClientAuth};
    client_ = *issue(ca_, wanted);
  }
  ~TlsServer() override {
    if (http_) {
      std::promise<void> done;
      boost::asio::co_spawn(
          loops_.executor(0),
          [](net::HttpServer& server) -> Task<void> { co_await server.drain(std::chrono::milliseconds(100)); }(*http_),
          [&](std::exception_ptr) { done.set_value(); });
      done.get_future().get();
    }
    loops_.stop();
    http_.reset();
  }

  void start() {
    auto made = net::TlsServerContext::make(options_);
    ASSERT_TRUE(made) << made.error().message();
    context_ = *made;
    net::HttpServerOptions http;
    http.address = "127.0.0.1";
    http.tls = context_;
    // How many certificates the server knows of the client by.
    http.handler = [](net::Request request, net::Responder& responder) -> Task<void> {
      BytesList body;
      body.push_back(Bytes::take(std::to_string(request.connection->peer_certificates.size())));
      co_await responder.send(200, {}, std::move(body));
    };
    auto server = net::HttpServer::start(loops_, std::move(http));
    ASSERT_TRUE(server);
    http_ = std::move(*server);
  }

  Seen connect(const Wish& wish) {
    Seen out;
    std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    if (wish.version != 0) {
      SSL_CTX_set_min_proto_version(context.get(), wish.version);
      SSL_CTX_set_max_proto_version(context.get(), wish.version);
    }
    if (wish.certificate) {
      auto read = [](const std::string& pem) { return BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())); };
      BIO* leaf = read(client_.certificate_pem);
      BIO* key = read(client_.private_key_pem);
      BIO* more = read(ca_.certificate_pem);
      X509* x = PEM_read_bio_X509(leaf, nullptr, nullptr, nullptr);
      EVP_PKEY* k = PEM_read_bio_PrivateKey(key, nullptr, nullptr, nullptr);
      SSL_CTX_use_certificate(context.get(), x);
      SSL_CTX_use_PrivateKey(context.get(), k);
      SSL_CTX_add_extra_chain_cert(context.get(), PEM_read_bio_X509(more, nullptr, nullptr, nullptr));
      X509_free(x);
      EVP_PKEY_free(k);
      BIO_free(leaf);
      BIO_free(key);
      BIO_free(more);
    }
    int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(http_->port());
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return out;
    std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
    SSL_set_fd(ssl.get(), fd);
    if (!wish.server_name.empty()) SSL_set_tlsext_host_name(ssl.get(), wish.server_name.c_str());
    if (wish.session) SSL_set_session(ssl.get(), wish.session.get());
    out.connected = SSL_connect(ssl.get()) == 1;
    if (out.connected) {
      out.resumed = SSL_session_reused(ssl.get()) == 1;
      out.version = SSL_get_version(ssl.get());
      if (X509* x = SSL_get1_peer_certificate(ssl.get())) {
        char name[256] = "";
        X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, name, sizeof name);
        out.common_name = name;
        X509_free(x);
      }
      constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
      SSL_write(ssl.get(), kRequest.data(), static_cast<int>(kRequest.size()));
      std::string answer;
      char buffer[4096];
      int n = 0;
      while ((n = SSL_read(ssl.get(), buffer, sizeof buffer)) > 0) answer.append(buffer, static_cast<size_t>(n));
      size_t end = answer.find("\r\n\r\n");
      if (end != std::string::npos) out.body = answer.substr(end + 4);
      out.session = Session(SSL_get1_session(ssl.get()), SSL_SESSION_free);
      SSL_shutdown(ssl.get());
    }
    ::close(fd);
    return out;
  }

  KeyPair ca_ = *make_ca("ca", std::chrono::hours(1));
  KeyPair client_;
  net::TlsServerContext::Options options_;
  std::shared_ptr<net::TlsServerContext> context_;
  net::LoopPool loops_{1, "tls"};
  std::unique_ptr<net::HttpServer> http_;
};

}  // namespace

TEST_F(TlsServer, ResumesSessionsWithTheClientsWholeChain) {
  start();
  for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Seen first = connect({.version = version, .certificate = true});
    ASSERT_TRUE(first.connected);
    EXPECT_FALSE(first.resumed);
    EXPECT_EQ(first.body, "2");
    Seen second = connect({.version = version, .session = first.session, .certificate = true});
    ASSERT_TRUE(second.connected);
    EXPECT_TRUE(second.resumed) << first.version;
    EXPECT_EQ(second.body, "2") << first.version;
    // And once more, with the ticket that the resumed session was given.
    Seen third = connect({.version = version, .session = second.session, .certificate = true});
    EXPECT_TRUE(third.resumed) << first.version;
    EXPECT_EQ(third.body, "2") << first.version;
  }
}

TEST_F(TlsServer, TicketsOutliveANewCertificate) {
  start();
  Seen first = connect({.certificate = true});
  KeyPair next = server_certificate(ca_, "next.example");
  ASSERT_TRUE(context_->replace_certificate(next.certificate_pem, next.private_key_pem));
  Seen second = connect({.session = first.session, .certificate = true});
  EXPECT_TRUE(second.resumed);
  EXPECT_EQ(connect({}).common_name, "next.example");
}

TEST_F(TlsServer, ATicketOfAnotherServerIsNoTicket) {
  start();
  Seen first = connect({.certificate = true});
  TlsServer::context_ = *net::TlsServerContext::make(options_);
  net::HttpServerOptions http;
  http.address = "127.0.0.1";
  http.tls = context_;
  http.handler = [](net::Request, net::Responder& responder) -> Task<void> { co_await responder.send(200, {}, {}); };
  auto other = net::HttpServer::start(loops_, std::move(http));
  ASSERT_TRUE(other);
  std::swap(http_, *other);
  Seen second = connect({.session = first.session, .certificate = true});
  EXPECT_TRUE(second.connected);
  EXPECT_FALSE(second.resumed);
  std::swap(http_, *other);
  std::promise<void> done;
  boost::asio::co_spawn(
      loops_.executor(0),
      [](net::HttpServer& server) -> Task<void> { co_await server.drain(std::chrono::milliseconds(100)); }(**other),
      [&](std::exception_ptr) { done.set_value(); });
  done.get_future().get();
}

TEST_F(TlsServer, PicksTheCertificateByTheNameAskedFor) {
  for (const char* name : {"one.example", "two.example", "*.wild.example"}) {
    KeyPair pair = server_certificate(ca_, name);
    options_.sni.push_back({pair.certificate_pem, pair.private_key_pem, {}});
  }
  KeyPair named = server_certificate(ca_, "file.example");
  options_.sni.push_back({named.certificate_pem, named.private_key_pem, {"other.example", "a.wild.example"}});
  start();
  EXPECT_EQ(connect({}).common_name, "default.example");
  EXPECT_EQ(connect({.server_name = "unknown.example"}).common_name, "default.example");
  EXPECT_EQ(connect({.server_name = "two.example"}).common_name, "two.example");
  EXPECT_EQ(connect({.server_name = "ONE.example"}).common_name, "one.example");
  EXPECT_EQ(connect({.server_name = "b.wild.example"}).common_name, "*.wild.example");
  EXPECT_EQ(connect({.server_name = "a.wild.example"}).common_name, "file.example") << "a name goes before a wildcard";
  EXPECT_EQ(connect({.server_name = "other.example"}).common_name, "file.example");
  EXPECT_EQ(connect({.server_name = "other.example", .certificate = true}).body, "2");
  ASSERT_TRUE(context_->replace_sni({}));
  EXPECT_EQ(connect({.server_name = "two.example"}).common_name, "default.example");
}

TEST_F(TlsServer, SpeaksNothingOlderThanItsPolicy) {
  start();
  EXPECT_TRUE(connect({.version = TLS1_2_VERSION}).connected);
  EXPECT_FALSE(connect({.version = TLS1_1_VERSION}).connected);
}

TEST_F(TlsServer, SpeaksTls13OnlyWhenToldSo) {
  options_.policy.min_version = "VersionTLS13";
  start();
  EXPECT_FALSE(connect({.version = TLS1_2_VERSION}).connected);
  EXPECT_EQ(connect({}).version, "TLSv1.3");
}

TEST(TlsPolicy, NamesWhatItRefuses) {
  EXPECT_TRUE(net::check_policy({}));
  EXPECT_TRUE(net::check_policy({"VersionTLS13", {}}));
  EXPECT_TRUE(net::check_policy({"", {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"}}));
  EXPECT_FALSE(net::check_policy({"VersionTLS11", {}}));
  EXPECT_FALSE(net::check_policy({"", {"TLS_RSA_WITH_AES_128_CBC_SHA"}}));
  EXPECT_FALSE(net::check_policy({"", {"TLS_AES_128_GCM_SHA256"}}));
  auto wrong = net::check_policy({"", {"NONSENSE"}});
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message().find("NONSENSE"), std::string::npos);
}
