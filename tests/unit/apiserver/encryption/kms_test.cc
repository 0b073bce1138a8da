#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "apiserver/encryption/kms_envelope.h"
#include "apiserver/encryption/provider.h"
#include "base/random.h"
#include "net/http_server.h"

using namespace redoubt;
using namespace redoubt::apiserver::encryption;
using namespace std::chrono_literals;

namespace {

constexpr KmsTiming kFast{100ms, 100ms, 60s, 20s};
constexpr std::string_view kPath = "/registry/secrets/default/s";

void put(std::string& out, int field, std::string_view value) {
  out += static_cast<char>(field << 3 | 2);
  out += static_cast<char>(value.size());
  out += value;
}

// A key service that remembers what it "encrypted"; can be slow, sick, or away.
class FakeKms {
 public:
  std::string path = std::filesystem::temp_directory_path() / fmt::format("kms-{}-{}", ::getpid(), count++);
  std::mutex mutex;
  std::string key_id = "key-1", healthz = "ok";
  std::map<std::string, std::string> kept;  // ciphertext -> plaintext
  std::atomic<int> decrypts{0}, encrypts{0};
  std::atomic<bool> slow{false};

  FakeKms() { start(); }
  ~FakeKms() { stop(); }
  void start() {
    loops_ = std::make_unique<net::LoopPool>(1, "fake-kms");
    net::HttpServerOptions options;
    options.unix_path = path;
    options.handler = [this](net::Request request, net::Responder& responder) {
      return serve(this, std::move(request), responder);
    };
    server_ = std::move(*net::HttpServer::start(*loops_, std::move(options)));
  }
  void stop() {
    if (!loops_) return;
    loops_->stop();
    server_.reset();
    loops_.reset();
    ::unlink(path.c_str());
  }
  ProviderConfig config() const {
    ProviderConfig out;
    out.kind = ProviderKind::Kms;
    out.name = "mine";
    out.socket = path;
    out.timeout = 500ms;
    return out;
  }

 private:
  static Task<void> serve(FakeKms* self, net::Request request, net::Responder& responder) {
    auto body = co_await net::read_body(*request.body, 1 << 20);
    while (self->slow) co_await sleep_for(10ms);
    std::string answer;
    {
      std::lock_guard lock(self->mutex);
      std::string message = body->substr(5);
      if (request.path == "/v2.KeyManagementService/Status") {
        put(answer, 1, "v2");
        put(answer, 2, self->healthz);
        put(answer, 3, self->key_id);
      } else if (request.path == "/v2.KeyManagementService/Encrypt") {
        ++self->encrypts;
        std::string name = "sealed-" + random_suffix(8);
        self->kept[name] = parse_encrypt_answer(message)->ciphertext;  // field 1 of both
        put(answer, 1, name);
        put(answer, 2, self->key_id);
      } else {
        ++self->decrypts;
        put(answer, 1, self->kept[*parse_decrypt_answer(message)]);
      }
    }
    std::string framed("\0\0\0\0", 4);
    framed += static_cast<char>(answer.size());
    framed += answer;
    auto writer = co_await responder.start(200, {{"content-type", "application/grpc"}});
    if (!writer) co_return;
    BytesList pieces;
    pieces.push_back(Bytes::take(std::move(framed)));
    co_await (*writer)->write(std::move(pieces));
    co_await (*writer)->finish({{"grpc-status", "0"}});
  }
  static inline int count = 0;
  std::unique_ptr<net::LoopPool> loops_;
  std::unique_ptr<net::HttpServer> server_;
};

template <class Condition>
bool eventually(Condition condition, std::chrono::seconds limit = 30s) {
  auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(20ms);
  }
  return true;
}

}  // namespace

TEST(Kms, EncryptsWithASeedThatThePluginSealed) {
  FakeKms kms;
  auto provider = make_kms_provider(kms.config(), kFast);
  ASSERT_TRUE(provider->healthy()) << provider->healthy().error().message();
  auto sealed = provider->seal(kPath, "sesame");
  ASSERT_TRUE(sealed) << sealed.error().message();
  EXPECT_TRUE(sealed->bytes.starts_with("k8s:enc:kms:v2:mine:"));
  EXPECT_EQ(sealed->bytes.find("sesame"), std::string::npos);
  EXPECT_EQ(provider->open(kPath, sealed->bytes)->bytes, "sesame");
  EXPECT_EQ(kms.decrypts, 0) << "the seed is at hand";
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(provider->seal(kPath, "x"));
  EXPECT_EQ(kms.encrypts, 1) << "one seed for all";
  EXPECT_FALSE(provider->open("/registry/secrets/default/t", sealed->bytes)) << "bound to its place";
}

TEST(Kms, AsksThePluginOnceForTheSeedOfAnEarlierProcess) {
  FakeKms kms;
  std::string first = make_kms_provider(kms.config(), kFast)->seal(kPath, "one")->bytes;
  auto provider = make_kms_provider(kms.config(), kFast);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(provider->open(kPath, first)->bytes, "one");
  EXPECT_EQ(kms.decrypts, 1);
  EXPECT_EQ(provider->open(kPath, first)->seal, provider->current_seal()) << "the same key: not stale";
}

TEST(Kms, ANewKeyIdMakesANewSeedAndTheOldValuesStale) {
  FakeKms kms;
  auto provider = make_kms_provider(kms.config(), kFast);
  std::string old = provider->seal(kPath, "one")->bytes;
  auto seal = provider->current_seal();
  {
    std::lock_guard lock(kms.mutex);
    kms.key_id = "key-2";
  }
  EXPECT_TRUE(eventually([&] { return provider->current_seal() != seal; })) << "found by asking for the status";
  auto opened = provider->open(kPath, old);
  EXPECT_EQ(opened->bytes, "one");
  EXPECT_NE(opened->seal, provider->current_seal());
}

TEST(Kms, GoesOnWritingWhileThePluginIsAwayAndSaysThatItIs) {
  FakeKms kms;
  auto provider = make_kms_provider(kms.config(), kFast);
  std::string sealed = provider->seal(kPath, "one")->bytes;
  kms.stop();
  EXPECT_TRUE(eventually([&] { return !provider->healthy(); }));
  EXPECT_TRUE(provider->seal(kPath, "two"));
  EXPECT_EQ(provider->open(kPath, sealed)->bytes, "one");
  kms.start();
  EXPECT_TRUE(eventually([&] { return provider->healthy().has_value(); }));
}

TEST(Kms, StopsWritingWhenThePluginStaysAwayAndNeverReading) {
  FakeKms kms;
  auto provider = make_kms_provider(kms.config(), {100ms, 100ms, 1s, 20s});
  std::string sealed = provider->seal(kPath, "one")->bytes;
  kms.stop();
  EXPECT_TRUE(eventually([&] { return !provider->seal(kPath, "two"); }));
  EXPECT_NE(provider->seal(kPath, "two").error().message().find("has not confirmed its key"), std::string::npos);
  EXPECT_EQ(provider->open(kPath, sealed)->bytes, "one");
  kms.start();
  EXPECT_TRUE(eventually([&] { return provider->seal(kPath, "two").has_value(); }));
}

TEST(Kms, ASlowPluginIsGivenUpAfterItsTimeout) {
  FakeKms kms;
  kms.slow = true;
  auto began = std::chrono::steady_clock::now();
  auto provider = make_kms_provider(kms.config(), kFast);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 3s);
  EXPECT_FALSE(provider->healthy());
  EXPECT_FALSE(provider->seal(kPath, "x")) << "nothing to write with yet, and never in the clear";
  kms.slow = false;
  EXPECT_TRUE(eventually([&] { return provider->healthy().has_value(); }));
  EXPECT_TRUE(provider->seal(kPath, "x"));
}

TEST(Kms, ReadingWaitsForAPluginThatStartsLaterThanTheServer) {
  FakeKms kms;
  std::string sealed = make_kms_provider(kms.config(), kFast)->seal(kPath, "one")->bytes;
  kms.stop();
  auto provider = make_kms_provider(kms.config(), kFast);
  EXPECT_FALSE(provider->healthy());
  std::thread later([&] {
    std::this_thread::sleep_for(1s);
    kms.start();
  });
  auto opened = provider->open(kPath, sealed);
  later.join();
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_EQ(opened->bytes, "one");
}

TEST(Kms, ASickPluginIsReportedInItsOwnWords) {
  FakeKms kms;
  kms.healthz = "the vault is sealed";
  auto provider = make_kms_provider(kms.config(), kFast);
  ASSERT_FALSE(provider->healthy());
  EXPECT_NE(provider->healthy().error().message().find("the vault is sealed"), std::string::npos);
}
