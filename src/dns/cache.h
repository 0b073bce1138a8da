// Upstream resolvers' answers, kept for as long as they say, the least used leaving first. Belongs to one loop.
#pragma once
#include <chrono>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

namespace redoubt::dns {

class Cache {
 public:
  using Clock = std::chrono::steady_clock;
  struct Entry {
    std::string key;
    std::shared_ptr<const std::string> wire;
    Clock::time_point stored, expires;
  };
  explicit Cache(size_t max_bytes) : max_bytes_(max_bytes) {}

  // Also one that has expired, as long as it may serve in need (kStaleFor): the caller looks at `expires`. Null when
  // there is none; good until the next call.
  const Entry* find(const std::string& key, Clock::time_point now);
  void put(const std::string& key, std::shared_ptr<const std::string> wire, std::chrono::seconds ttl,
           Clock::time_point now);
  size_t bytes() const { return bytes_; }

 private:
  void drop(std::list<Entry>::iterator it);
  size_t max_bytes_, bytes_ = 0;
  std::list<Entry> entries_;  // newest use first
  std::unordered_map<std::string_view, std::list<Entry>::iterator> index_;
};

}  // namespace redoubt::dns
