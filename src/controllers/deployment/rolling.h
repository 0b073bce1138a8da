// The arithmetic of a rolling update: how far the new replica set may grow and the old ones may shrink.
#pragma once
#include <cstdint>
#include <vector>

#include "schema/scalars.h"

namespace redoubt::controllers {

struct Bounds {
  int32_t max_surge = 0;
  int32_t max_unavailable = 0;
};
// Percentages of `replicas`: surge rounded up, unavailable down; both zero becomes one unavailable.
Bounds resolve_bounds(const schema::IntOrString& surge, const schema::IntOrString& unavailable, int32_t replicas);

struct SetSize {
  int32_t replicas = 0;
  int32_t available = 0;
};
// The size that the new set should have now.
int32_t next_new_size(int32_t wanted, SetSize fresh, const std::vector<SetSize>& old, Bounds bounds);
// The sizes that the old sets should have now; those without available pods shrink first.
std::vector<int32_t> next_old_sizes(int32_t wanted, SetSize fresh, const std::vector<SetSize>& old, Bounds bounds);

}  // namespace redoubt::controllers
