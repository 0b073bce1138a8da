// Encryption at rest, all of it: which provider writes and reads the values of which resource.
//
// Made before the store, which it outlives. With `reload` the file is looked at every few seconds: a new one takes the
// old one's place once it is right and its plug-ins are healthy; a wrong one changes nothing and is complained of. Any
// thread.
#pragma once
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "apiserver/encryption/config.h"
#include "apiserver/encryption/limits.h"
#include "apiserver/encryption/provider.h"
#include "store/transformer.h"

namespace redoubt::apiserver::encryption {

class Encryption : public store::Transformer {
 public:
  // BadRequest names file and field.
  static Result<std::unique_ptr<Encryption>> load(std::string path, bool reload,
                                                  std::chrono::milliseconds reload_every = kReloadEvery);
  ~Encryption() override;

  Result<std::optional<Sealed>> seal(std::string_view resource, std::string_view key,
                                     std::string_view plain) const override;
  Result<std::optional<Opened>> open(std::string_view resource, std::string_view key,
                                     std::string_view stored) const override;
  store::SealId current_seal(std::string_view resource) const override;

  // Whether there is (or may come) a plug-in whose health counts: the check kms-providers of /healthz.
  bool checks_health() const;
  Result<void> healthy() const;

 private:
  struct Table;
  explicit Encryption(std::string path) : path_(std::move(path)) {}
  static Result<std::shared_ptr<const Table>> make_table(const Config& config);
  void watch_file();
  Result<bool> reload();

  std::string path_;
  bool reloads_ = false;
  std::chrono::milliseconds reload_every_{};
  std::string digest_;  // of the file that is in force
  std::atomic<std::shared_ptr<const Table>> table_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread watcher_;
};

}  // namespace redoubt::apiserver::encryption
