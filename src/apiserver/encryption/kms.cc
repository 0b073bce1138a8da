// A KMS v2 plug-in: a seed of our own encrypts, the plug-in encrypts the seed. It is asked for its status again and
// again; a new key id there means a new seed. While it does not answer, values go on being written with the seed at
// hand for kSeedLife, and what is in memory is read as ever.
#include <pthread.h>

#include <boost/asio/post.hpp>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "apiserver/encryption/ciphers.h"
#include "apiserver/encryption/kms_envelope.h"
#include "apiserver/encryption/limits.h"
#include "apiserver/encryption/provider.h"
#include "base/encoding.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "base/time.h"
#include "net/grpc_client.h"
#include "net/loop.h"
#include "net/tcp.h"

namespace redoubt::apiserver::encryption {

namespace {

using std::chrono::steady_clock;
using store::Transformer;

// The plug-in's three calls, blocking, over its unix socket.
class KmsService {
 public:
  explicit KmsService(const ProviderConfig& config) : name_(config.name), timeout_(config.timeout), loop_(1, "kms") {
    std::string path = config.socket;
    if (path.starts_with('@')) path[0] = '\0';  // an abstract socket
    net::HttpClient::Options http;
    http.host = "localhost";
    http.http2_prior_knowledge = true;
    http.dial = [path, timeout = timeout_] { return net::unix_connect(path, timeout); };
    on_loop([&] {
      scope_ = std::make_unique<Scope>(loop_.executor(0), "kms");
      client_ = std::make_shared<net::GrpcClient>(net::HttpClient::make(loop_.executor(0), std::move(http)));
    });
  }
  ~KmsService() {
    on_loop([&] {
      scope_->cancel();
      client_.reset();
    });
    loop_.stop();
  }

  Result<std::string> call(const char* method, std::string request) {
    auto answer = std::make_shared<std::promise<Result<std::string>>>();
    auto future = answer->get_future();
    boost::asio::post(loop_.executor(0), [this, method, answer, request = std::move(request)]() mutable {
      scope_->spawn(run(client_, fmt::format("/v2.KeyManagementService/{}", method), std::move(request), timeout_,
                        std::move(answer)));
    });
    // The call has a deadline of its own; this one is for a loop that hangs.
    if (future.wait_for(timeout_ + std::chrono::seconds(2)) != std::future_status::ready)
      return service_unavailable(fmt::format("kms plug-in {}: {} timed out", name_, method));
    auto outcome = future.get();
    counter("apiserver_envelope_encryption_kms_operations_total", "Calls of KMS plug-ins.",
            {{"provider_name", name_}, {"method_name", method}, {"status", outcome ? "success" : "failure"}})
        .add();
    if (!outcome) return Error(outcome.error().with_context(fmt::format("kms plug-in {}: {}", name_, method)));
    return outcome;
  }

 private:
  static Task<void> run(std::shared_ptr<net::GrpcClient> client, std::string method, std::string request,
                        std::chrono::milliseconds timeout, std::shared_ptr<std::promise<Result<std::string>>> answer) {
    // Whoever waits is told, also when this is cancelled.
    struct Tell {
      std::shared_ptr<std::promise<Result<std::string>>> answer;
      Result<std::string> outcome = service_unavailable("stopping");
      ~Tell() { answer->set_value(std::move(outcome)); }
    } tell{std::move(answer)};
    tell.outcome = co_await client->unary(std::move(method), std::move(request), timeout);
  }

  template <class F>
  void on_loop(F f) {
    std::promise<void> done;
    boost::asio::post(loop_.executor(0), [&] {
      f();
      done.set_value();
    });
    done.get_future().wait();
  }

  std::string name_;
  std::chrono::milliseconds timeout_;
  net::LoopPool loop_;
  std::unique_ptr<Scope> scope_;
  std::shared_ptr<net::GrpcClient> client_;
};

std::string hash_of(std::string_view key_id) {
  return key_id.empty() ? std::string() : fmt::format("{:016x}", seal_id("", "", key_id));
}

class KmsProvider : public Provider {
 public:
  KmsProvider(const ProviderConfig& config, KmsTiming timing)
      : name_(config.name), prefix_("k8s:enc:kms:v2:" + config.name + ":"), timing_(timing), service_(config) {
    probe();  // where the plug-in is there already, everything is ready when this returns
    watcher_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "kms-watch");
      watch();
    });
  }
  ~KmsProvider() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    watcher_.join();
  }

  std::string_view prefix() const override { return prefix_; }

  SealId current_seal() const override {
    std::lock_guard lock(mutex_);
    return seed_ ? seed_->id : 0;
  }

  Result<void> healthy() const override {
    std::lock_guard lock(mutex_);
    if (problem_) return Error(*problem_);
    return {};
  }

  Result<Transformer::Sealed> seal(std::string_view key, std::string_view plain) const override {
    std::shared_ptr<const Seed> seed;
    {
      std::lock_guard lock(mutex_);
      if (!seed_) return Error(problem_.value_or(internal_error("no seed yet").error()));
      if (steady_clock::now() > good_until_) {
        return internal_error(
            fmt::format("the kms plug-in {} has not confirmed its key for {} s ({}): nothing is written with it "
                        "until it does",
                        name_, std::chrono::duration_cast<std::chrono::seconds>(timing_.seed_life).count(),
                        problem_ ? problem_->message() : "no answer"));
      }
      seed = seed_;
    }
    EncryptedObject object = seed->stored;
    RD_TRY(object.data, derived_gcm_seal(seed->plain.view(), plain, key));
    return Transformer::Sealed{prefix_ + to_bytes(object), seed->id};
  }

  Result<Transformer::Opened> open(std::string_view key, std::string_view sealed) const override {
    RD_TRY(EncryptedObject object, parse_encrypted_object(sealed.substr(prefix_.size())));
    RD_TRY(SecretBytes dek, decrypted(object));
    auto plain = object.source == DekSource::HkdfSeed ? derived_gcm_open(dek.view(), object.data, key)
                                                      : aes_gcm_open(dek.view(), object.data, key);
    if (!plain) return Error(plain.error().with_context(prefix_));
    return Transformer::Opened{std::move(*plain), id_of(object)};
  }

 private:
  struct Seed {
    SecretBytes plain;
    EncryptedObject stored;  // without data
    SealId id = 0;
  };

  // Values of one key id are alike, whichever seed they were written with: another seed alone makes none stale.
  SealId id_of(const EncryptedObject& object) const {
    return seal_id(prefix_, object.source == DekSource::HkdfSeed ? "seed" : "key", object.key_id);
  }

  static std::string cache_key(const EncryptedObject& object) {
    EncryptedObject bare = object;
    bare.data.clear();
    return to_bytes(bare);
  }

  // The key or seed of a stored value: remembered, or from the plug-in, which is waited for while the process starts.
  Result<SecretBytes> decrypted(const EncryptedObject& object) const {
    std::string cached = cache_key(object);
    {
      std::lock_guard lock(mutex_);
      if (auto it = seeds_.find(cached); it != seeds_.end()) return it->second;
    }
    while (true) {
      auto answer = service_.call("Decrypt", decrypt_request(object, random_uuid()));
      if (answer) {
        RD_TRY(std::string plain, parse_decrypt_answer(*answer));
        SecretBytes secret(std::move(plain));
        remember(std::move(cached), secret);
        return secret;
      }
      bool passing = answer.error().code() == 503 || answer.error().code() == 504;
      if (!passing || steady_clock::now() > patient_until_)
        return Error(answer.error().with_context("failed to decrypt DEK"));
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
    }
  }

  void remember(std::string cached, const SecretBytes& secret) const {
    std::lock_guard lock(mutex_);
    if (seeds_.size() >= kMaxCachedSeeds) seeds_.clear();
    seeds_.insert_or_assign(std::move(cached), secret);
  }

  // Upstream's check of a plug-in: healthy, of version 2, with a key id; a new id brings a new seed.
  Result<void> check() {
    auto good_until = steady_clock::now() + timing_.seed_life;
    RD_TRY(std::string bytes, service_.call("Status", ""));
    RD_TRY(KmsStatus status, parse_kms_status(bytes));
    if (status.healthz != "ok")
      return internal_error(
          fmt::format("kms plug-in {}: got unexpected healthz status: {}", name_, status.healthz.substr(0, 200)));
    if (status.version != "v2" && status.version != "v2beta1")
      return internal_error(
          fmt::format("kms plug-in {}: expected KMSv2 API version v2, got {}", name_, status.version.substr(0, 32)));
    if (status.key_id.empty() || status.key_id.size() > kMaxKeyIdBytes)
      return internal_error(
          fmt::format("kms plug-in {}: got invalid KMSv2 KeyID of {} bytes", name_, status.key_id.size()));
    {
      std::lock_guard lock(mutex_);
      if (seed_ && seed_->stored.key_id == status.key_id) {
        good_until_ = good_until;
        return {};
      }
    }
    std::string plain(32, '\0');
    random_bytes({reinterpret_cast<unsigned char*>(plain.data()), plain.size()});
    auto seed = std::make_shared<Seed>();
    seed->plain = SecretBytes(std::move(plain));
    RD_TRY(bytes, service_.call("Encrypt", encrypt_request(seed->plain.view(), random_uuid())));
    RD_TRY(EncryptAnswer answer, parse_encrypt_answer(bytes));
    seed->stored.key_id = answer.key_id;
    seed->stored.encrypted_dek = answer.ciphertext;
    seed->stored.annotations = answer.annotations;
    seed->stored.data = "x";
    RD_TRYV(check_encrypted_object(seed->stored));
    seed->stored.data.clear();
    if (answer.key_id != status.key_id) {
      return internal_error(fmt::format("kms plug-in {}: its status says key {}, it encrypted with {}", name_,
                                        hash_of(status.key_id), hash_of(answer.key_id)));
    }
    seed->id = id_of(seed->stored);
    remember(cache_key(seed->stored), seed->plain);
    log_info("kms: a new seed", {{"provider", name_}, {"key", hash_of(answer.key_id)}});
    std::lock_guard lock(mutex_);
    seed_ = std::move(seed);
    good_until_ = good_until;
    return {};
  }

  bool probe() {
    auto outcome = check();
    std::lock_guard lock(mutex_);
    bool was = !problem_;
    if (!outcome && was) log_error("kms: the plug-in is not healthy", {{"error", outcome.error().message()}});
    if (outcome && !was) log_info("kms: the plug-in is healthy", {{"provider", name_}});
    problem_ = outcome ? std::nullopt : std::optional(outcome.error());
    return outcome.has_value();
  }

  void watch() {
    while (true) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, problem_ ? timing_.when_not : timing_.when_healthy, [this] { return stopping_; });
        if (stopping_) return;
      }
      probe();
    }
  }

  const std::string name_;
  const std::string prefix_;
  const KmsTiming timing_;
  mutable KmsService service_;
  const steady_clock::time_point patient_until_ = steady_clock::now() + timing_.patience;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::shared_ptr<const Seed> seed_;
  steady_clock::time_point good_until_{};
  std::optional<Status> problem_;
  mutable std::map<std::string, SecretBytes> seeds_;  // by what is stored of them
  std::thread watcher_;
};

}  // namespace

std::shared_ptr<const Provider> make_kms_provider(const ProviderConfig& config, KmsTiming timing) {
  return std::make_shared<KmsProvider>(config, timing);
}

}  // namespace redoubt::apiserver::encryption
