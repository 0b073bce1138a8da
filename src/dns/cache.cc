#include "dns/cache.h"

#include "dns/limits.h"

namespace redoubt::dns {

namespace {

// List and index nodes, shared pointer, the strings themselves.
constexpr size_t kOverheadBytes = 256;

size_t cost(const Cache::Entry& entry) {
  return kOverheadBytes + entry.key.size() + entry.wire->size();
}

}  // namespace

void Cache::drop(std::list<Entry>::iterator it) {
  bytes_ -= cost(*it);
  index_.erase(it->key);
  entries_.erase(it);
}

const Cache::Entry* Cache::find(const std::string& key, Clock::time_point now) {
  auto found = index_.find(key);
  if (found == index_.end()) return nullptr;
  auto it = found->second;
  if (now >= it->expires + kStaleFor) {
    drop(it);
    return nullptr;
  }
  entries_.splice(entries_.begin(), entries_, it);
  return &entries_.front();
}

void Cache::put(const std::string& key, std::shared_ptr<const std::string> wire, std::chrono::seconds ttl,
                Clock::time_point now) {
  if (auto found = index_.find(key); found != index_.end()) drop(found->second);
  if (ttl.count() <= 0 || wire->size() > kCachedAnswerBytes) return;
  entries_.push_front({key, std::move(wire), now, now + ttl});
  index_.emplace(entries_.front().key, entries_.begin());
  bytes_ += cost(entries_.front());
  while (bytes_ > max_bytes_ && entries_.size() > 1) drop(std::prev(entries_.end()));
}

}  // namespace redoubt::dns
