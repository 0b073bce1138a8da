// nodes/{n}/proxy, pods/{p}/proxy and services/{s}/proxy: a request taken to the backend that its URL names.
//
// Called after authentication, authorization and admission. Every backend's address is checked, and the address that
// was checked is the one dialled; what is not encrypted for a verified backend goes only where nobody else can read it,
// unless policy allows it; how far the backend was verified stands in the answer (Redoubt-Proxy-Verification) and in
// the request's annotations. Any loop.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "apiserver/proxy/backend.h"
#include "apiserver/proxy/client_pool.h"
#include "apiserver/proxy/proxy_policy.h"
#include "net/http.h"

namespace redoubt::apiserver {

inline constexpr std::string_view kVerificationHeader = "redoubt-proxy-verification";

class ApiProxy {
 public:
  struct Options {
    egress::Dialer& dialer;
    const KubeletAccess& kubelets;
    BackendObjects objects;
    TrustSources trust;
    AddressGuard guard;
    ProxyPolicy policy;
  };
  // What the URL names: `resource` is nodes, pods or services, `id` the name with its scheme and port.
  struct Asked {
    std::string resource, ns, id;
    std::function<void(std::string_view key, std::string_view value)> annotate;  // of the audit event; may be empty
  };
  explicit ApiProxy(Options options) : options_(std::move(options)) {}

  // An error is one that the caller still has to answer with; success: answered. Runs as long as the request does.
  Task<Result<void>> serve(net::Request& request, net::Responder& responder, Asked asked) const;
  // Drops kept connections; see ClientPool.
  void clear() const { pool_.clear(); }

 private:
  struct Reached {
    std::shared_ptr<net::HttpClient> client;
    std::string authority;     // "IP:PORT"
    std::string verification;  // for header, log and annotation
  };
  Task<Result<Reached>> reach(Backend backend) const;
  Result<std::vector<Backend>> backends(const Asked& asked, const ProxyName& name) const;

  Options options_;
  mutable ClientPool pool_;
};

}  // namespace redoubt::apiserver
