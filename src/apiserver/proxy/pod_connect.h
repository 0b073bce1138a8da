// The subresources that leave the API server for a kubelet: pods/log, exec, attach and portforward.
//
// Called after authentication, authorization and admission; it looks up nothing but the objects. Each call returns an
// error that the caller still has to answer with (as a metav1.Status), or success once the request has been answered.
// Sessions run inside the call; cancelling it (the client went away) ends them. Any loop.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apiserver/proxy/kubelet_access.h"
#include "base/bytes.h"
#include "net/http.h"

namespace redoubt::apiserver {

using QueryParameters = std::vector<std::pair<std::string, std::string>>;

class PodConnect {
 public:
  struct Options {
    const KubeletAccess& kubelets;
    // The stored JSON of an object; NotFound as users know it. Any thread.
    std::function<Result<Bytes>(std::string_view ns, std::string_view name)> pod;
    std::function<Result<Bytes>(std::string_view name)> node;
  };
  explicit PodConnect(Options options) : options_(std::move(options)) {}

  // True for the subresources that pod() serves.
  static bool serves(std::string_view subresource);

  Task<Result<void>> pod(net::Request& request, net::Responder& responder, std::string subresource, std::string ns,
                         std::string name, QueryParameters query) const;

 private:
  Task<Result<void>> log(net::Request& request, net::Responder& responder, std::string ns, std::string name,
                         QueryParameters query) const;

  Options options_;
};

}  // namespace redoubt::apiserver
