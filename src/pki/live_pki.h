// A server's keys and certificates while it runs: looked at again and again, renewed in time, and read anew when
// someone changed the files (an administrator, `redoubt certs`, a tool that renews --tls-cert-file).
//
// Whoever uses a part subscribes and is told on a loop of its own. current() is any thread's.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/task.h"
#include "pki/cluster_pki.h"

namespace redoubt::pki {

class LivePki {
 public:
  using Snapshot = std::shared_ptr<const ClusterPki>;
  using Changed = std::function<void(const ClusterPki& now)>;

  // Blocking. `watched` names further files whose change counts (SNI certificates, client CAs).
  static Result<std::unique_ptr<LivePki>> open(ClusterPkiOptions options, std::vector<std::string> watched = {});

  Snapshot current() const;
  // `changed` is called on `executor` after every change, until the returned handle goes. It may be called once more
  // when it is already on its way.
  std::shared_ptr<void> subscribe(Executor executor, Changed changed);
  // Looks once; true when something changed. Cheap when nothing did: the files' times are compared first. Blocking.
  Result<bool> refresh();
  // Looks every few seconds until cancelled.
  Task<void> run();

 private:
  explicit LivePki(ClusterPkiOptions options, std::vector<std::string> watched)
      : options_(std::move(options)), watched_(std::move(watched)) {}
  std::string stamp() const;
  struct Subscriber {
    Executor executor;
    Changed changed;
  };
  const ClusterPkiOptions options_;
  const std::vector<std::string> watched_;
  std::mutex refreshing_;     // one look at a time
  std::string seen_;          // guarded by refreshing_
  mutable std::mutex mutex_;  // guards the two below
  Snapshot current_;
  std::vector<std::weak_ptr<Subscriber>> subscribers_;
};

}  // namespace redoubt::pki
