#include "kubelet/files.h"

#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "base/random.h"
#include "pki/certificate.h"

namespace redoubt::kubelet {

namespace fs = std::filesystem;

namespace {

std::vector<std::string> mounts_below(const std::string& path) {
  std::ifstream file("/proc/self/mounts");
  std::vector<std::string> out;
  std::string line;
  while (std::getline(file, line)) {
    size_t first = line.find(' ');
    std::string where = line.substr(first + 1, line.find(' ', first + 1) - first - 1);
    if (where == path || where.starts_with(path + "/")) out.push_back(where);
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });
  return out;
}

Error failed(const char* what, const std::string& path) {
  return service_unavailable(fmt::format("{} {}: {}", what, path, std::strerror(errno)));
}

}  // namespace

Result<void> make_folder(const std::string& path, int mode) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return service_unavailable(fmt::format("mkdir {}: {}", path, error.message()));
  ::chmod(path.c_str(), static_cast<mode_t>(mode));
  return {};
}

Result<bool> write_atomically(const std::string& folder,
                              const std::map<std::string, std::pair<std::string, int>>& files) {
  std::string link = folder + "/..data";
  bool same = fs::exists(link);
  size_t there = 0;
  if (same) {
    for (const auto& entry : fs::recursive_directory_iterator(link + "/")) there += entry.is_regular_file() ? 1 : 0;
    same = there == files.size();
    for (const auto& [name, content] : files) {
      auto old = pki::read_file(link + "/" + name);
      same = same && old && *old == content.first;
    }
  }
  if (same) return false;
  RD_TRYV(make_folder(folder));
  std::string version = "..v_" + random_suffix(10);
  RD_TRYV(make_folder(folder + "/" + version));
  for (const auto& [name, content] : files) {
    std::string path = folder + "/" + version + "/" + name;
    RD_TRYV(make_folder(fs::path(path).parent_path()));
    RD_TRYV(pki::write_file(path, content.first, content.second));
  }
  std::error_code error;
  std::string old = fs::exists(link) ? fs::read_symlink(link, error).string() : "";
  std::string temporary = folder + "/..data_tmp";
  fs::remove(temporary, error);
  fs::create_symlink(version, temporary, error);
  if (error) return service_unavailable(fmt::format("link {}: {}", temporary, error.message()));
  if (::rename(temporary.c_str(), link.c_str()) != 0) return failed("rename", link);
  std::map<std::string, bool> roots;
  for (const auto& [name, content] : files) roots[name.substr(0, name.find('/'))] = true;
  for (const auto& [name, unused] : roots) {
    std::string visible = folder + "/" + name;
    if (!fs::is_symlink(visible)) fs::create_symlink("..data/" + name, visible, error);
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::string name = entry.path().filename();
    if (!name.starts_with("..") && entry.is_symlink() && !roots.contains(name)) fs::remove(entry.path(), error);
  }
  if (!old.empty() && old.find('/') == std::string::npos) fs::remove_all(folder + "/" + old, error);
  return true;
}

bool is_mounted(const std::string& path) {
  auto all = mounts_below(path);
  return std::find(all.begin(), all.end(), path) != all.end();
}

Result<void> mount_tmpfs(const std::string& path) {
  RD_TRYV(make_folder(path));
  if (is_mounted(path)) return {};
  if (::mount("tmpfs", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0)
    return failed("mount tmpfs", path);
  return {};
}

Result<void> remove_tree(const std::string& path) {
  for (const std::string& mount : mounts_below(path)) {
    if (::umount2(mount.c_str(), UMOUNT_NOFOLLOW) != 0 && ::umount2(mount.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) != 0)
      return failed("umount", mount);
  }
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return service_unavailable(fmt::format("delete {}: {}", path, error.message()));
  return {};
}

}  // namespace redoubt::kubelet
