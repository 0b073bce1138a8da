#include "kubelet/volumes/volumes.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/blocking.h"
#include "base/json_text.h"
#include "kubelet/files.h"
#include "pki/certificate.h"
#include "schema/k8s/authentication_v1.h"

namespace redoubt::kubelet {

namespace core = k8s::core::v1;

namespace {

constexpr int kDefaultMode = 0644;

template <class Map>
Result<std::map<std::string, std::pair<std::string, int>>> pick(const Map& data,
                                                                const std::vector<core::KeyToPath>& items, int mode,
                                                                bool optional, const std::string& what) {
  std::map<std::string, std::pair<std::string, int>> out;
  if (items.empty()) {
    for (const auto& [key, value] : data) out[key] = {value, mode};
    return out;
  }
  for (const auto& item : items) {
    auto it = data.find(item.key);
    if (it == data.end()) {
      if (optional) continue;
      return bad_request(fmt::format("references non-existent {} key: {}", what, item.key));
    }
    if (item.path.starts_with('/') || item.path.find("..") != std::string::npos)
      return bad_request(fmt::format("path \"{}\" leaves the volume", item.path));
    out[item.path] = {it->second, item.mode.value_or(mode)};
  }
  return out;
}

std::string map_text(const std::map<std::string, std::string>& map) {
  std::string out;
  for (const auto& [key, value] : map) {
    if (!out.empty()) out += '\n';
    out += key + "=";
    append_json_string(out, value);
  }
  return out;
}

Result<void> host_path(const std::string& path, const std::string& type) {
  struct stat s{};
  bool there = ::stat(path.c_str(), &s) == 0;
  auto wrong = [&](const char* what) {
    return bad_request(fmt::format("hostPath type check failed: {} is not a {}", path, what));
  };
  if (type == "DirectoryOrCreate")
    return there ? (S_ISDIR(s.st_mode) ? Result<void>{} : Result<void>(wrong("directory"))) : make_folder(path, 0755);
  if (type == "FileOrCreate") {
    if (there) return S_ISREG(s.st_mode) ? Result<void>{} : Result<void>(wrong("file"));
    return pki::write_file(path, "", 0644);
  }
  if (type == "Directory" && (!there || !S_ISDIR(s.st_mode))) return wrong("directory");
  if (type == "File" && (!there || !S_ISREG(s.st_mode))) return wrong("file");
  if (type == "Socket" && (!there || !S_ISSOCK(s.st_mode))) return wrong("socket file");
  if (type == "CharDevice" && (!there || !S_ISCHR(s.st_mode))) return wrong("character device");
  if (type == "BlockDevice" && (!there || !S_ISBLK(s.st_mode))) return wrong("block device");
  return {};
}

}  // namespace

Result<std::string> field_value(const core::Pod& pod, const std::string& path) {
  auto keyed = [&](const char* prefix, const std::map<std::string, std::string>& map) -> std::optional<std::string> {
    std::string head = std::string(prefix) + "['";
    if (!path.starts_with(head) || !path.ends_with("']")) return std::nullopt;
    auto it = map.find(path.substr(head.size(), path.size() - head.size() - 2));
    return it == map.end() ? "" : it->second;
  };
  if (auto v = keyed("metadata.labels", pod.metadata.labels)) return *v;
  if (auto v = keyed("metadata.annotations", pod.metadata.annotations)) return *v;
  if (path == "metadata.name") return pod.metadata.name;
  if (path == "metadata.namespace") return pod.metadata.namespace_;
  if (path == "metadata.uid") return pod.metadata.uid;
  if (path == "metadata.labels") return map_text(pod.metadata.labels);
  if (path == "metadata.annotations") return map_text(pod.metadata.annotations);
  if (path == "spec.nodeName") return pod.spec.nodeName;
  if (path == "spec.serviceAccountName") return pod.spec.serviceAccountName;
  if (path == "status.hostIP" || path == "status.hostIPs") return pod.status.hostIP;
  if (path == "status.podIP" || path == "status.podIPs") return pod.status.podIP;
  return bad_request(fmt::format("unsupported fieldPath: {}", path));
}

Result<std::string> resource_value(const core::Container& container, const core::ResourceFieldSelector& selector) {
  size_t dot = selector.resource.find('.');
  std::string kind = selector.resource.substr(0, dot),
              name = dot == std::string::npos ? "" : selector.resource.substr(dot + 1);
  const auto& map = kind == "limits" ? container.resources.limits : container.resources.requests;
  auto it = map.find(name);
  // Without a limit a container may take what the node has; the node's size is what upstream shows too.
  schema::Quantity amount =
      it != map.end() ? it->second
      : name == "cpu"
          ? schema::Quantity::of(kind == "limits" ? ::sysconf(_SC_NPROCESSORS_ONLN) : 0)
          : schema::Quantity::of(kind == "limits" ? ::sysconf(_SC_PHYS_PAGES) * ::sysconf(_SC_PAGESIZE) : 0);
  double divisor = selector.divisor.empty() || selector.divisor.is_zero() ? 1.0 : selector.divisor.as_double();
  return std::to_string(static_cast<int64_t>(std::ceil(amount.as_double() / divisor - 1e-9)));
}

Task<Result<Volumes::Files>> Volumes::config_map(std::string ns, std::string name, std::vector<core::KeyToPath> items,
                                                 int mode, bool optional) {
  auto map = co_await api_.get<core::ConfigMap>(ns, name);
  if (!map) {
    if (optional && map.error().is("NotFound")) co_return Files{};
    co_return Error(map.error());
  }
  std::map<std::string, std::string> all = map->data;
  for (const auto& [key, value] : map->binaryData) all[key] = value.bytes;
  co_return pick(all, items, mode, optional, "config");
}

Task<Result<Volumes::Files>> Volumes::secret(std::string ns, std::string name, std::vector<core::KeyToPath> items,
                                             int mode, bool optional) {
  auto there = co_await api_.get<core::Secret>(ns, name);
  if (!there) {
    if (optional && there.error().is("NotFound")) co_return Files{};
    co_return Error(there.error());
  }
  std::map<std::string, std::string> all;
  for (const auto& [key, value] : there->data) all[key] = value.bytes;
  co_return pick(all, items, mode, optional, "secret");
}

Result<Volumes::Files> Volumes::downward(const core::Pod& pod, const std::vector<core::DownwardAPIVolumeFile>& items,
                                         int mode) {
  Files out;
  for (const auto& item : items) {
    std::string text;
    if (item.fieldRef) {
      RD_TRY(text, field_value(pod, item.fieldRef->fieldPath));
    } else if (item.resourceFieldRef) {
      for (const auto& container : pod.spec.containers) {
        if (container.name != item.resourceFieldRef->containerName) continue;
        RD_TRY(text, resource_value(container, *item.resourceFieldRef));
      }
    }
    out[item.path] = {text, item.mode.value_or(mode)};
  }
  return out;
}

// Asked for again at four fifths of its life, so that a pod never holds one that is about to end.
Task<Result<std::string>> Volumes::token(core::Pod pod, std::string audience, int64_t seconds) {
  std::string key = pod.metadata.uid + "/" + audience + "/" + std::to_string(seconds);
  auto known = tokens_.find(key);
  if (known != tokens_.end() && now() < known->second.renew_at) co_return known->second.text;
  k8s::authentication::v1::TokenRequest request;
  if (!audience.empty()) request.spec.audiences = {audience};
  request.spec.expirationSeconds = seconds;
  auto& bound = request.spec.boundObjectRef.emplace();
  bound.kind = "Pod";
  bound.apiVersion = "v1";
  bound.name = pod.metadata.name;
  bound.uid = pod.metadata.uid;
  std::string path = client::Client::object_path(*schema::find_resource("", "v1", "serviceaccounts"),
                                                 pod.metadata.namespace_, pod.spec.serviceAccountName, "token");
  RD_CO_TRY(client::RawResponse response, co_await api_.request("POST", path, schema::to_json(request)));
  RD_CO_TRY(auto answer, schema::from_json<k8s::authentication::v1::TokenRequest>(response.body));
  tokens_[key] = {answer.status.token, now() + std::chrono::seconds(seconds * 4 / 5)};
  co_return answer.status.token;
}

Task<Result<std::map<std::string, std::string>>> Volumes::ensure(core::Pod pod) {
  std::map<std::string, std::string> out;
  std::string ns = pod.metadata.namespace_;
  for (const auto& volume : pod.spec.volumes) {
    std::string path = pod_dir(pod.metadata.uid) + "/volumes/" + volume.name;
    auto fail = [&](const Status& status) {
      return Error(status.with_context(fmt::format("MountVolume.SetUp failed for volume \"{}\"", volume.name)));
    };
    std::optional<Files> files;
    bool secret_data = false;
    int mode = kDefaultMode;
    if (volume.hostPath) {
      auto ok = co_await run_blocking(
          [p = volume.hostPath->path, t = volume.hostPath->type.value_or("")] { return host_path(p, t); });
      if (!ok) co_return fail(ok.error());
      out[volume.name] = volume.hostPath->path;
      continue;
    }
    if (volume.emptyDir) {
      bool memory = volume.emptyDir->medium == "Memory";
      auto ok = co_await run_blocking([path, memory]() -> Result<void> {
        if (memory) RD_TRYV(mount_tmpfs(path));
        return make_folder(path, 0777);
      });
      if (!ok) co_return fail(ok.error());
      out[volume.name] = path;
      continue;
    }
    if (volume.configMap) {
      mode = volume.configMap->defaultMode.value_or(kDefaultMode);
      auto got = co_await config_map(ns, volume.configMap->name, volume.configMap->items, mode,
                                     volume.configMap->optional.value_or(false));
      if (!got) co_return fail(got.error());
      files = std::move(*got);
    } else if (volume.secret) {
      mode = volume.secret->defaultMode.value_or(kDefaultMode);
      auto got = co_await secret(ns, volume.secret->secretName, volume.secret->items, mode,
                                 volume.secret->optional.value_or(false));
      if (!got) co_return fail(got.error());
      files = std::move(*got);
      secret_data = true;
    } else if (volume.downwardAPI) {
      auto got = downward(pod, volume.downwardAPI->items, volume.downwardAPI->defaultMode.value_or(kDefaultMode));
      if (!got) co_return fail(got.error());
      files = std::move(*got);
    } else if (volume.projected) {
      mode = volume.projected->defaultMode.value_or(kDefaultMode);
      files.emplace();
      secret_data = true;
      for (const auto& source : volume.projected->sources) {
        Result<Files> got = Files{};
        if (source.configMap)
          got = co_await config_map(ns, source.configMap->name, source.configMap->items, mode,
                                    source.configMap->optional.value_or(false));
        if (source.secret)
          got = co_await secret(ns, source.secret->name, source.secret->items, mode,
                                source.secret->optional.value_or(false));
        if (source.downwardAPI) got = downward(pod, source.downwardAPI->items, mode);
        if (source.serviceAccountToken) {
          auto text = co_await token(pod, source.serviceAccountToken->audience,
                                     source.serviceAccountToken->expirationSeconds.value_or(3600));
          if (!text) co_return fail(text.error());
          // Root reads it; others only when the pod runs as somebody else.
          bool as_root = !pod.spec.securityContext || !pod.spec.securityContext->runAsUser;
          got = Files{{source.serviceAccountToken->path, {*text, as_root && mode == kDefaultMode ? 0644 : mode}}};
        }
        if (!got) co_return fail(got.error());
        files->insert(got->begin(), got->end());
      }
    }
    if (!files) co_return fail(bad_request("this kind of volume is not supported yet").error());
    auto ok = co_await run_blocking([path, secret_data, f = std::move(*files)]() -> Result<void> {
      if (secret_data) RD_TRYV(mount_tmpfs(path));
      RD_TRYV(write_atomically(path, f));
      return {};
    });
    if (!ok) co_return fail(ok.error());
    out[volume.name] = path;
  }
  co_return out;
}

Task<Result<void>> Volumes::remove(std::string uid) {
  std::erase_if(tokens_, [&](const auto& entry) { return entry.first.starts_with(uid + "/"); });
  std::string path = pod_dir(uid);
  co_return co_await run_blocking([path] { return remove_tree(path); });
}

}  // namespace redoubt::kubelet
