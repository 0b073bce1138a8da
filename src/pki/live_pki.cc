#include "pki/live_pki.h"

#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <filesystem>

#include "base/blocking.h"
#include "base/log.h"

namespace redoubt::pki {

namespace {
// A dozen stat() calls each time: short enough that nobody waits long for `redoubt certs`, too little to be felt.
constexpr std::chrono::seconds kLook{2};
}  // namespace

Result<std::unique_ptr<LivePki>> LivePki::open(ClusterPkiOptions options, std::vector<std::string> watched) {
  std::unique_ptr<LivePki> out(new LivePki(std::move(options), std::move(watched)));
  RD_TRY(ClusterPki made, ensure_cluster_pki(out->options_));
  out->current_ = std::make_shared<const ClusterPki>(std::move(made));
  out->seen_ = out->stamp();
  return out;
}

LivePki::Snapshot LivePki::current() const {
  std::lock_guard lock(mutex_);
  return current_;
}

std::shared_ptr<void> LivePki::subscribe(Executor executor, Changed changed) {
  auto subscriber = std::make_shared<Subscriber>(Subscriber{executor, std::move(changed)});
  std::lock_guard lock(mutex_);
  subscribers_.push_back(subscriber);
  return subscriber;
}

std::string LivePki::stamp() const {
  std::vector<std::string> files = watched_;
  for (const auto& [name, given] : options_.given) {
    files.push_back(given.certificate_file);
    files.push_back(given.key_file);
  }
  std::error_code error;
  for (std::filesystem::directory_iterator it(options_.folder, error), end; !error && it != end; it.increment(error))
    files.push_back(it->path());
  std::sort(files.begin(), files.end());
  std::string out;
  for (const std::string& file : files) {
    struct stat info{};
    if (::stat(file.c_str(), &info) != 0) continue;
    out += fmt::format("{} {} {} {}.{}\n", file, info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  }
  return out;
}

Result<bool> LivePki::refresh() {
  std::lock_guard one(refreshing_);
  std::string there = stamp();
  if (there == seen_ && now() < current()->renew_at) return false;
  RD_TRY(ClusterPki made, ensure_cluster_pki(options_, current().get()));
  // Renewing has changed files itself.
  seen_ = made == *current() ? there : stamp();
  auto snapshot = std::make_shared<const ClusterPki>(std::move(made));
  std::vector<std::shared_ptr<Subscriber>> told;
  {
    std::lock_guard lock(mutex_);
    current_ = snapshot;
    std::erase_if(subscribers_, [](const auto& weak) { return weak.expired(); });
    for (const auto& weak : subscribers_) {
      if (auto subscriber = weak.lock()) told.push_back(std::move(subscriber));
    }
  }
  for (auto& subscriber : told) {
    boost::asio::post(subscriber->executor, [weak = std::weak_ptr<Subscriber>(subscriber), snapshot] {
      if (auto there_still = weak.lock()) there_still->changed(*snapshot);
    });
  }
  return true;
}

Task<void> LivePki::run() {
  std::string reported;
  while (true) {
    co_await sleep_for(kLook);
    auto outcome = co_await run_blocking([this] { return refresh(); });
    if (outcome && *outcome) log_info("keys and certificates were read anew");
    std::string error = outcome ? "" : outcome.error().message();
    if (!error.empty() && error != reported)
      log_error("the server's keys and certificates can't be looked after; the ones in use stay", {{"error", error}});
    reported = std::move(error);
  }
}

}  // namespace redoubt::pki
