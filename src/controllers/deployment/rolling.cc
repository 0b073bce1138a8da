#include "controllers/deployment/rolling.h"

#include <algorithm>
#include <charconv>

namespace redoubt::controllers {

namespace {

int32_t scaled(const schema::IntOrString& value, int32_t total, bool up) {
  if (!value.is_string) return value.number;
  int32_t percent = 0;
  std::from_chars(value.text.data(), value.text.data() + value.text.size(), percent);
  int64_t product = static_cast<int64_t>(percent) * total;
  return static_cast<int32_t>(up ? (product + 99) / 100 : product / 100);
}

}  // namespace

Bounds resolve_bounds(const schema::IntOrString& surge, const schema::IntOrString& unavailable, int32_t replicas) {
  Bounds out{scaled(surge, replicas, true), scaled(unavailable, replicas, false)};
  if (out.max_surge == 0 && out.max_unavailable == 0) out.max_unavailable = 1;
  return out;
}

int32_t next_new_size(int32_t wanted, SetSize fresh, const std::vector<SetSize>& old, Bounds bounds) {
  if (fresh.replicas >= wanted) return wanted;
  int32_t total = fresh.replicas;
  for (const SetSize& set : old) total += set.replicas;
  int32_t room = wanted + bounds.max_surge - total;
  if (room <= 0) return fresh.replicas;
  return std::min(wanted, fresh.replicas + room);
}

std::vector<int32_t> next_old_sizes(int32_t wanted, SetSize fresh, const std::vector<SetSize>& old, Bounds bounds) {
  std::vector<int32_t> out;
  int32_t total = fresh.replicas, available = fresh.available;
  for (const SetSize& set : old) {
    out.push_back(set.replicas);
    total += set.replicas;
    available += set.available;
  }
  int32_t least = wanted - bounds.max_unavailable;
  // Pods of the new set that are not up yet count as if they were still needed.
  int32_t may_go = total - least - (fresh.replicas - fresh.available);
  if (may_go <= 0) return out;
  // Those that serve nobody cost nothing.
  for (size_t i = 0; i < old.size() && may_go > 0; ++i) {
    int32_t idle = std::min(old[i].replicas - old[i].available, may_go);
    if (idle <= 0) continue;
    out[i] -= idle;
    may_go -= idle;
  }
  int32_t spare = std::min(available - least, may_go);
  for (size_t i = 0; i < old.size() && spare > 0; ++i) {
    int32_t less = std::min(out[i], spare);
    out[i] -= less;
    spare -= less;
  }
  return out;
}

}  // namespace redoubt::controllers
