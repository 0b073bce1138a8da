#include "apiserver/auth/seen_addresses.h"

#include <algorithm>

namespace redoubt::apiserver {

void SeenAddresses::saw(std::string_view node, std::string_view address, std::chrono::steady_clock::time_point when) {
  if (node.empty() || address.empty()) return;
  // A socket for both families shows IPv4 peers as mapped addresses.
  constexpr std::string_view kMapped = "::ffff:";
  if (address.starts_with(kMapped) && address.find('.') != std::string_view::npos)
    address.remove_prefix(kMapped.size());
  std::lock_guard lock(mutex_);
  auto [it, added] = nodes_.try_emplace(std::string(node));
  if (added) {
    order_.push_back(it->first);
    if (order_.size() > kMaxNodes) {
      nodes_.erase(order_.front());
      order_.pop_front();
      it = nodes_.find(std::string(node));
    }
  }
  std::vector<Seen>& seen = it->second;
  auto known = std::find_if(seen.begin(), seen.end(), [&](const Seen& s) { return s.address == address; });
  if (known != seen.end()) {
    known->last = when;
    return;
  }
  if (seen.size() >= kPerNode) {
    seen.erase(
        std::min_element(seen.begin(), seen.end(), [](const Seen& a, const Seen& b) { return a.last < b.last; }));
  }
  seen.push_back({std::string(address), when});
}

std::vector<std::string> SeenAddresses::of(std::string_view node, std::chrono::steady_clock::time_point when) const {
  std::lock_guard lock(mutex_);
  auto it = nodes_.find(std::string(node));
  if (it == nodes_.end()) return {};
  std::vector<Seen> seen = it->second;
  std::erase_if(seen, [&](const Seen& s) { return when - s.last > kRemember; });
  std::sort(seen.begin(), seen.end(), [](const Seen& a, const Seen& b) { return a.last > b.last; });
  std::vector<std::string> out;
  for (Seen& s : seen) out.push_back(std::move(s.address));
  return out;
}

}  // namespace redoubt::apiserver
