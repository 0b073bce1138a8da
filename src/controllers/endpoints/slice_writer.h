// Carries out slice plans, and knows when the informer has not seen them yet: who plans from a stale view makes slices
// twice.
#pragma once
#include <chrono>
#include <map>
#include <string>

#include "controllers/endpoints/slices.h"

namespace redoubt::controllers {

class SliceWriter {
 public:
  SliceWriter(client::Client& api, Informers& informers) : api_(api), informers_(informers) {}

  // True when everything written for `key` is in the informer (or was written so long ago that it no longer matters).
  bool seen(const std::string& key);
  Task<Result<void>> write(std::string key, SlicePlan plan);
  void forget(const std::string& key) { pending_.erase(key); }

 private:
  struct Expected {
    int64_t revision = 0;  // 0: gone
    std::string uid;
    std::chrono::steady_clock::time_point since;
  };
  client::Client& api_;
  Informers& informers_;
  std::map<std::string, std::map<std::string, Expected>> pending_;  // key to "namespace/name" of slices
};

}  // namespace redoubt::controllers
