// A pod's volumes on this machine: made before its containers start, kept up to date while it runs, removed with it.
//
// Everything lives under ROOT/pods/UID/volumes/NAME; what is secret is on tmpfs. Belongs to one loop; file work runs on
// the blocking pool.
#pragma once
#include <map>
#include <string>

#include "client/client.h"
#include "kubelet/options.h"
#include "schema/k8s/core_v1.h"

namespace redoubt::kubelet {

class Volumes {
 public:
  Volumes(client::Client& api, Options options) : api_(api), options_(std::move(options)) {}
  // Makes or refreshes all volumes; gives the host's path of each. Errors name the volume and what is missing.
  Task<Result<std::map<std::string, std::string>>> ensure(k8s::core::v1::Pod pod);
  Task<Result<void>> remove(std::string uid);
  std::string pod_dir(const std::string& uid) const { return options_.root_dir + "/pods/" + uid; }

 private:
  struct Token {
    std::string text;
    Timestamp renew_at{};
  };
  using Files = std::map<std::string, std::pair<std::string, int>>;
  Task<Result<Files>> config_map(std::string ns, std::string name, std::vector<k8s::core::v1::KeyToPath> items,
                                 int mode, bool optional);
  Task<Result<Files>> secret(std::string ns, std::string name, std::vector<k8s::core::v1::KeyToPath> items, int mode,
                             bool optional);
  Task<Result<std::string>> token(k8s::core::v1::Pod pod, std::string audience, int64_t seconds);
  static Result<Files> downward(const k8s::core::v1::Pod& pod,
                                const std::vector<k8s::core::v1::DownwardAPIVolumeFile>& items, int mode);
  client::Client& api_;
  Options options_;
  std::map<std::string, Token> tokens_;  // by pod uid and audience
};

// "metadata.name", "metadata.labels", "metadata.labels['x']", "spec.nodeName", "status.podIP", ... of a pod.
Result<std::string> field_value(const k8s::core::v1::Pod& pod, const std::string& path);
// "limits.cpu", "requests.memory", ... of a container, divided as asked.
Result<std::string> resource_value(const k8s::core::v1::Container& container,
                                   const k8s::core::v1::ResourceFieldSelector& selector);

}  // namespace redoubt::kubelet
