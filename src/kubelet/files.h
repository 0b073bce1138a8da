// Files and mounts, as blocking calls for run_blocking().
#pragma once
#include <map>
#include <string>

#include "base/status.h"

namespace redoubt::kubelet {

Result<void> make_folder(const std::string& path, int mode = 0755);
// Writes a set of files at once: readers see all old or all new ones (a folder per version behind the link "..data", as
// upstream's atomic writer). Names may hold '/'; modes are given by name. True when something changed.
Result<bool> write_atomically(const std::string& folder,
                              const std::map<std::string, std::pair<std::string, int>>& files);
Result<void> mount_tmpfs(const std::string& path);
bool is_mounted(const std::string& path);
// Unmounts whatever is mounted at or below, deepest first, then deletes the tree. Never follows a link or crosses a
// mount that could not be unmounted.
Result<void> remove_tree(const std::string& path);

}  // namespace redoubt::kubelet
