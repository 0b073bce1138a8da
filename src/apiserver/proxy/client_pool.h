// HTTP clients towards the cluster, kept: one set a loop (connections belong to a loop), by what they reach. Requests
// to the same kubelet or backend then share its HTTP/2 connection or take turns on HTTP/1.1 ones.
//
// Clients not used for kIdleClient are dropped, the oldest first above kMaxClientsPerLoop. Who got one holds it for as
// long as its request runs. The pool must be destroyed, or clear()ed, after its loops stopped and before they are gone.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "net/http_client.h"

namespace redoubt::apiserver {

class ClientPool {
 public:
  using Make = std::function<Result<net::HttpClient::Options>()>;
  // The client of the calling loop under `key`, which must say everything that its options depend on.
  Result<std::shared_ptr<net::HttpClient>> get(Executor executor, const std::string& key, const Make& make);
  void clear();

 private:
  struct Entry {
    std::shared_ptr<net::HttpClient> client;
    std::chrono::steady_clock::time_point used;
  };
  struct Loop {
    std::map<std::string, Entry> clients;  // touched by its loop only
    std::chrono::steady_clock::time_point swept;
  };
  static void sweep(Loop& loop);

  std::mutex mutex_;  // guards the map, not what it holds
  std::map<const void*, std::unique_ptr<Loop>> loops_;
};

}  // namespace redoubt::apiserver
