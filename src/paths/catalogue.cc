#include "paths/catalogue.h"

#include <vector>

namespace redoubt::paths {

std::span<const PathFacts* const> catalogue() {
  static const std::vector<const PathFacts*> all = [] {
    std::vector<const PathFacts*> out;
    for (auto part : {paths_to_control_plane(), paths_to_cluster(), tunnel_paths()}) {
      for (const PathFacts& path : part) out.push_back(&path);
    }
    return out;
  }();
  return all;
}

const PathFacts* find_path(std::string_view id) {
  for (const PathFacts* path : catalogue()) {
    if (path->id == id) return path;
  }
  return nullptr;
}

}  // namespace redoubt::paths
